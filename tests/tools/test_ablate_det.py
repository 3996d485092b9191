"""Table 9's rows from the command line, on a small set in VOC's form."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resdet import cli

ABLATE = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "ablate_det.py"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for i, name in enumerate(("ant", "bee", "cat")):
        pixels = np.random.default_rng(i).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"JPEGImages/{i}.jpg")
        box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>60</xmax><ymax>50</ymax></bndbox>"
        size = "<size><width>80</width><height>60</height><depth>3</depth></size>"
        text = f"<annotation><filename>{i}.jpg</filename>{size}<object><name>{name}</name>{box}</object></annotation>"
        (root / f"Annotations/{i}.xml").write_text(text)
    (root / "ImageSets/Main/test.txt").write_text("0\n1\n2\n")
    return f"voc:{root}:test"


def ablate(*words):
    return cli.run(ABLATE["main"], ["--device", "cpu", *(str(word) for word in words)])


def test_the_rows_are_printed_and_written(data, det_weights, tmp_path, capsys):
    assert ablate("--weights", det_weights, det_weights, "--data", data, "--json", tmp_path / "deep/rows.json") == 0
    out = capsys.readouterr().out
    names = ["baseline", "+ box refinement", "+ box voting", "+ multi-scale testing", "ensemble of 2"]
    assert [line[:28].strip() for line in out.splitlines()[3:]] == names
    rows = json.loads((tmp_path / "deep/rows.json").read_text())
    assert [row["name"] for row in rows] == names
    assert all(row["metrics"]["metric"] == "voc12" and 0 <= row["metrics"]["mAP"] <= 100 for row in rows)
    assert out.startswith("3 images, voc12")


def test_what_cannot_work_is_one_line(data, cls_weights, capsys):
    assert ablate("--weights", cls_weights, "--data", data) == 2
    err = capsys.readouterr().err
    assert "a classifier, which does not detect" in err
    assert len(err.splitlines()) == 1


def test_a_folder_in_place_of_the_rows_file_is_told_before_anything_is_opened(data, tmp_path, capsys):
    assert ablate("--weights", tmp_path / "none.pt", "--data", data, "--json", tmp_path) == 2
    assert "a folder, where a file is to be written" in capsys.readouterr().err


def test_rows_are_saved_as_they_come(data, det_weights, tmp_path, monkeypatch, capsys):
    from resdet.jobs import ablation

    def interrupted(*_):
        yield ablation.AblationRow("baseline", {"mAP": 12.5}, 3.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(ablation, "ablation", interrupted)
    file = tmp_path / "rows.json"
    assert ablate("--weights", det_weights, "--data", data, "--json", file) == cli.INTERRUPTED
    assert json.loads(file.read_text()) == [{"name": "baseline", "metrics": {"mAP": 12.5}, "ms_per_image": 3.0}]
