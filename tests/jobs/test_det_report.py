"""tools/eval_det.py on weights: what it writes beside the numbers gives the same numbers."""

import json
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_detector import write_detector

from resdet import cli
from resdet.data.formats import open_records
from resdet.predictions.read import read_det

EVAL_DET = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "eval_det.py"))
OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_detector(tmp_path_factory.mktemp("weights") / "det.pt", ("ant", "bee"), "bee")


SIZE = "<size><width>80</width><height>64</height><depth>3</depth></size>"


def annotate(root, name, *objects):
    """Write an image's XML: ``(class, xmin, ymin, xmax, ymax)``, counted from 1."""
    inside = SIZE + "".join(OBJECT.format(*row) for row in objects)
    (root / f"Annotations/{name}.xml").write_text(f"<annotation>{inside}</annotation>")


@pytest.fixture
def root(tmp_path):
    """Three noisy images in VOC's layout, one without an object."""
    folder, rng = tmp_path / "set", np.random.default_rng(0)
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    for name, objects in {"a": ["bee"], "b": ["ant", "bee"], "c": []}.items():
        cv2.imwrite(str(folder / f"JPEGImages/{name}.jpg"), rng.integers(0, 256, (64, 80, 3), dtype=np.uint8))
        annotate(folder, name, *((kind, 1, 1, 80, 64) for kind in objects))
    (folder / "ImageSets/Main/test.txt").write_text("a\nb\nc\n")
    return folder


def evaluate(root, json_file, *words):
    data = ("--data", f"voc:{root}:test", "--json", json_file)
    assert cli.run(EVAL_DET["main"], [str(word) for word in (*data, *words)]) == 0
    return json.loads(json_file.read_text())


def test_what_weights_find_is_written_in_the_sets_form_and_scores_the_same_from_there(tmp_path, root, weights):
    evaluate(root, tmp_path / "m.json", "--weights", weights, "--out", tmp_path / "first")
    found = read_det(tmp_path / "first/predictions", open_records(f"voc:{root}:test"))
    assert len(found) > 20
    for image, name in enumerate("ab"):  # what the network happens to find first shall be what is there
        mine = found[(found.images == image) & (found.labels == 1)]
        x1, y1, x2, y2 = mine.boxes[mine.scores.argmax()].round().astype(int).tolist()
        annotate(root, name, ("bee", x1 + 1, y1 + 1, x2, y2), ("ant", 1, 1, 80, 64))
    metrics = evaluate(root, tmp_path / "m.json", "--weights", weights, "--out", tmp_path / "out", "--errors")
    assert metrics["per_class"]["bee"] > 20
    assert json.loads((tmp_path / "out/eval.json").read_text()) == metrics
    assert (tmp_path / "out/pr.png").exists()
    written = tmp_path / "out/predictions"
    assert evaluate(root, tmp_path / "again.json", "--predictions", written, "--errors") == metrics
