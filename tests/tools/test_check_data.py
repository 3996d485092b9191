"""``tools/check_data.py``: what it prints, what it writes, and how it ends."""

import json

import cv2
import numpy as np
import pytest
from tiny_set import draw, main_of

from resdet import cli


@pytest.fixture
def spec(tmp_path):
    return f"tiny-imagenet:{draw(tmp_path / 'set')}:val"


def run(*words):
    return cli.run(main_of("check_data"), [str(word) for word in words])


def spoil(tmp_path):
    """A box of one pixel in the first line, and an image that is cut off in the second."""
    table = tmp_path / "set/val/val_annotations.txt"
    first, second, *rest = table.read_text().splitlines()
    words = first.split("\t")
    table.write_text("\n".join(["\t".join([*words[:2], "3", "4", "3", "9"]), second, *rest]) + "\n")
    image = tmp_path / "set/val/images" / second.split("\t")[0]
    image.write_bytes(image.read_bytes()[:-10])


def test_a_set_without_faults_ends_with_0(spec, capsys):
    assert run(spec) == 0
    told = capsys.readouterr()
    assert "0 findings; 6 images" in told.out
    assert "localization's defaults" in told.out
    assert told.err == ""


def test_faults_end_with_1_and_are_named_with_file_and_line(spec, tmp_path, capsys):
    spoil(tmp_path)
    assert run(spec, "--json", tmp_path / "out/a.json", "--html", tmp_path / "out/a.html") == 1
    told = capsys.readouterr()
    assert "val_annotations.txt:1: n01443537: (3 4 3 9) is 1 x 6 pixels large" in told.out
    assert told.err.endswith(": 2 findings\n")
    content = json.loads((tmp_path / "out/a.json").read_text())
    assert content["counts"] == {"unreadable": 1, "small": 1}
    assert content["sets"][0]["images"] == 6
    assert {f["kind"]: f["box"] for f in content["findings"]} == {"small": [3, 4, 4, 10], "unreadable": None}
    assert (tmp_path / "out/a.html").read_text().startswith("<!doctype html>")


def test_kinds_that_are_not_wanted_do_not_count(spec, tmp_path):
    spoil(tmp_path)
    assert run(spec, "--ignore", "small,unreadable") == 0
    assert run(spec, "--ignore", "tiny") == 2


def test_corrected_annotations_go_into_a_new_folder_only(spec, tmp_path, capsys):
    spoil(tmp_path)
    assert run(spec, "--fix", tmp_path / "fixed") == 1
    assert "1 left out" in capsys.readouterr().out
    assert run(f"tiny-imagenet:{tmp_path / 'fixed'}:val", "--ignore", "small,no-annotation,unreadable") == 0
    assert run(spec, "--fix", tmp_path / "fixed") == 2
    assert run(spec, "--fix", tmp_path / "set") == 2
    assert "annotations stay as they are" in capsys.readouterr().err


def test_anchors_are_those_of_the_config(spec, tmp_path, capsys):
    (tmp_path / "det.yaml").write_text("model:\n  anchor_sizes: [16, 32]\ndata:\n  shorter: 64\n  longer: 64\n")
    (tmp_path / "loc.yaml").write_text("model:\n  feature: conv4\n  anchor_sizes: [32]\n")
    (tmp_path / "cls.yaml").write_text("modle: 3\n")
    for name in ("det", "loc"):
        assert run(spec, "--config", tmp_path / f"{name}.yaml") == 0
        assert f"anchors of {tmp_path / name}.yaml reach" in capsys.readouterr().out
    assert run(spec, "--config", tmp_path / "cls.yaml") == 2
    assert "no detector's config" in capsys.readouterr().err
    (tmp_path / "cls.yaml").write_text("model:\n  backbone:\n    depth: 18\n")  # it may be a classifier's
    assert run(spec, "--config", tmp_path / "cls.yaml") == 0
    assert f"anchors of localization's defaults ({tmp_path / 'cls.yaml'} names none) reach" in capsys.readouterr().out


def test_wrong_usage_ends_with_2_and_a_missing_set_with_1(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2
    with pytest.raises(SystemExit):  # it left out the last findings
        run(f"voc:{tmp_path}:all", "--show", "-1")
    assert run(f"voc:{tmp_path}/nothing:all") == 1
    assert "1 refused" in capsys.readouterr().out


def test_images_of_classes_alone_are_checked_too(tmp_path, capsys):
    (tmp_path / "cat").mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "cat" / f"{name}.png"), np.zeros((9, 9, 3), np.uint8))
    assert run(f"folder:{tmp_path}") == 1
    assert "1 duplicate" in capsys.readouterr().out
    assert run(f"folder:{tmp_path}", "--fix", tmp_path / "fixed") == 1
    assert "has no boxes to be corrected" in capsys.readouterr().out
