import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resdet import cli
from resdet.config import LocConfig
from resdet.engine import checkpoint
from resdet.settings import override, to_dict

EVAL_LOC = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "eval_loc.py"))


@pytest.fixture
def val(tmp_path):
    """Five images of noise, not in alphabetical order, in a list of classes that is not in the weights' order."""
    root = tmp_path / "set"
    for folder in ("Data", "Annotations"):
        (root / folder / "CLS-LOC/val").mkdir(parents=True)
    (root / "ImageSets/CLS-LOC").mkdir(parents=True)
    (root / "LOC_synset_mapping.txt").write_text("n03 c\nn01 a\nn02 b\n")
    images = [("e", "n01"), ("b", "n02"), ("a", "n03"), ("d", "n01"), ("c", "n02")]
    (root / "ImageSets/CLS-LOC/val.txt").write_text("".join(f"{name} 1\n" for name, _ in images))
    for i, (name, wnid) in enumerate(images):
        width, height = 40 + 8 * i, 48
        pixels = np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"Data/CLS-LOC/val/{name}.JPEG")
        size = f"<size><width>{width}</width><height>{height}</height></size>"
        box = "<bndbox><xmin>5</xmin><ymin>5</ymin><xmax>30</xmax><ymax>30</ymax></bndbox>"
        text = f"<annotation>{size}<object><name>{wnid}</name>{box}</object></annotation>"
        (root / f"Annotations/CLS-LOC/val/{name}.xml").write_text(text)
    return f"ilsvrc-loc:{root}:val"


def evaluate(tmp_path, *words):
    file = tmp_path / "metrics.json"
    file.unlink(missing_ok=True)
    code = cli.run(EVAL_LOC["main"], [str(word) for word in (*words, "--json", file)])
    return code, json.loads(file.read_text()) if file.exists() else None


@pytest.mark.parametrize("protocol", ["1-crop", "dense"])
def test_written_predictions_score_as_the_weights_did(val, loc_weights, tmp_path, protocol):
    out = tmp_path / "out"
    words = ("--weights", loc_weights, "--data", val, "--out", out, "--protocol", protocol, "--batch-size", 2)
    code, direct = evaluate(tmp_path, *words)
    assert code == 0
    assert direct["images"] == 5
    assert direct["gt_class_loc_error"] is not None
    for name in ("predictions.txt", "predictions.csv", "predictions.numbers.csv"):
        code, read = evaluate(tmp_path, "--predictions", out / name, "--data", val)
        assert code == 0
        for key in ("top_k", "errors", "cls_top1_error", "loc_top5_error"):
            assert read[key] == direct[key], (name, key)
        # of three classes all are guessed, so the box for the true class is in the file too
        assert read["gt_class_loc_error"] == direct["gt_class_loc_error"]


def test_a_second_network_gives_the_classes(val, loc_weights, cls_weights, tmp_path):
    own = evaluate(tmp_path, "--weights", loc_weights, "--data", val)[1]
    code, metrics = evaluate(tmp_path, "--weights", loc_weights, "--data", val, "--classifier", cls_weights)
    assert code == 0
    assert metrics["cls_top1_error"] == pytest.approx(60)  # it says n02, which two of five are
    assert metrics["gt_class_loc_error"] == own["gt_class_loc_error"]


def test_settings_of_weights_with_a_predictions_file_are_wrong_usage(val, tmp_path, capsys):
    (tmp_path / "p").write_text("1 0 0 9 9\n" * 5)
    code, metrics = evaluate(tmp_path, "--predictions", tmp_path / "p", "--data", val, "--protocol", "dense")
    assert (code, metrics) == (2, None)
    assert "--protocol" in capsys.readouterr().err


def test_a_classifier_is_refused(val, cls_weights, tmp_path, capsys):
    assert evaluate(tmp_path, "--weights", cls_weights, "--data", val) == (2, None)
    assert "a classifier, which gives no boxes" in capsys.readouterr().err


def test_an_oracle_never_does_worse_than_the_choice_by_score(val, loc_weights, tmp_path, capsys):
    words = ("--weights", loc_weights, "--data", val, "--set", "test.voting=never")
    code, metrics = evaluate(tmp_path, *words, "--oracle")
    assert code == 0
    assert metrics["oracle_loc_error"] <= metrics["gt_class_loc_error"]
    assert "best candidate box always chosen" in capsys.readouterr().out
    code, _ = evaluate(tmp_path, "--predictions", "nowhere.csv", "--data", val, "--oracle")
    assert code == 2


@pytest.mark.parametrize(
    ("protocol", "seen", "not_seen", "named"),
    [
        ("dense", "test.scales=[48]", "data.size=24 data.resize=40", "scales, mirror"),
        ("1-crop", "data.resize=40", "test.scales=[48] test.mirror=false", "data.size, resize"),
    ],
)
def test_averaged_candidates_need_the_same_views_whatever_else_is_set(
    val, loc_weights, tmp_path, capsys, protocol, seen, not_seen, named
):
    """A dense test does not look at data.size and resize, nor that of a crop at scales and mirror."""

    def other(settings):
        saved = checkpoint.load(loc_weights)
        config = override(LocConfig, saved.config, settings.split(), "test")
        checkpoint.save(tmp_path / "other.pt", replace(saved, config=to_dict(config)))
        return tmp_path / "other.pt"

    words = ("--data", val, "--protocol", protocol, "--weights", loc_weights)
    mean = ("--set", "test.ensemble=mean")
    one = evaluate(tmp_path, *words)
    assert evaluate(tmp_path, *words, other(not_seen), *mean) == one  # the mean of two that are the same
    assert evaluate(tmp_path, *words, other(seen), *mean)[0] == 2
    assert f"other.pt has other views (test.protocol, {named}) than " in capsys.readouterr().err
