"""Networks that have diverged: training, evaluating and looking with them each end in one line that says so."""

import cv2
import numpy as np
import pytest
import tiny_set
from tiny_voc import draw, specs

from resdet import cli
from resdet.build import build_rcnn
from resdet.config import RCNNConfig, override, to_dict
from resdet.engine import checkpoint
from resdet.engine.checkpoint import Checkpoint

SMALL = """
data: {size: 32, resize: 32, workers: 0}
model: {backbone: {depth: 18, width: 8, stem: 3x3}%s}
train: {epochs: 2, batch_size: 12, lr: 0.01, schedule: cosine, log_every: 1}
"""
DET = """
data: {shorter: 48, longer: 96, workers: 0}
model: {backbone: {depth: 18, width: 8}, rpn_channels: 16, anchor_sizes: [24, 40], pool_size: 4, min_side: 4}
train: {epochs: 1, batch_size: 4, lr: 0.01, schedule: cosine, log_every: 1}
test: {shorter: 48, longer: 96}
"""
CONFIGS = {
    "cls": SMALL % "",
    "loc": SMALL % ", neck: 8, anchor_sizes: [12, 24]",
    "pcr": SMALL % ", neck: 8, method: pcr",
    "det": DET,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_set.draw(tmp_path_factory.mktemp("set") / "set")


@pytest.fixture(scope="module")
def detection_folder(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("voc"))


def told(capsys, tool, *words):
    """The one line that a script fails with."""
    capsys.readouterr()
    assert tiny_set.run(tool, *words) == cli.FAILED
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("step ")]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_run_that_diverges_within_an_epoch_ends_in_its_evaluation(tmp_path, folder, detection_folder, capsys, kind):
    """The step's own loss was finite: it is that of the weights before."""
    (tmp_path / "c.yaml").write_text(CONFIGS[kind])
    data = specs(detection_folder) if kind == "det" else tiny_set.specs(folder)
    words = [*data, "train.lr=1e38", "train.eval_every=0.01", "--out", tmp_path / "out", "--device", "cpu"]
    line = told(capsys, "train_loc" if kind == "pcr" else f"train_{kind}", tmp_path / "c.yaml", *words)
    assert "step 1: evaluated, " in line
    assert line.endswith("training has diverged, a lower train.lr or train.clip_norm helps")
    assert not list((tmp_path / "out").glob("*.pt"))


def spoilt(file, out, key, value):
    """The weights with one tensor filled with a value."""
    saved = checkpoint.load(file)
    saved.model[key].fill_(value)
    checkpoint.save(out, saved)
    return out


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    file = tmp_path_factory.mktemp("pictures") / "picture.png"
    cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8))
    return file


@pytest.mark.parametrize("tool", ["eval_cls", "eval_loc", "infer"])
def test_weights_that_are_not_finite_are_named(tmp_path, folder, picture, loc_weights, cls_weights, capsys, tool):
    key = "backbone.layer1.0.conv1.weight"
    file = spoilt(cls_weights if tool == "eval_cls" else loc_weights, tmp_path / "nan.pt", key, float("nan"))
    words = [picture, "--out", tmp_path / "out"] if tool == "infer" else ["--data", f"tiny-imagenet:{folder}:val"]
    line = told(capsys, tool, "--weights", file, *words)
    assert f"{file}: {key}: 36864 of 36864 numbers are NaN or infinite" in line


def test_weights_whose_answers_overflow_are_one_line_too(tmp_path, picture, loc_weights, capsys):
    file = spoilt(loc_weights, tmp_path / "large.pt", "backbone.layer1.0.conv1.weight", 3e38)
    line = told(capsys, "infer", "--weights", file, picture, "--out", tmp_path / "out")
    assert f"{picture}: a score or a box found in it is not finite" in line


@pytest.mark.parametrize("tool", ["eval_cls", "eval_loc"])
def test_answers_that_overflow_are_counted(tmp_path, loc_weights, cls_weights, capsys, tool):
    names = {"n01": "cat", "n02": "dög", "n03": "热狗"}
    root = tiny_set.draw(tmp_path / "set", wnids=tuple(names))
    if tool == "eval_cls":
        file = spoilt(cls_weights, tmp_path / "large.pt", "backbone.layer1.0.conv1.weight", 3e38)
    else:
        file = spoilt(loc_weights, tmp_path / "large.pt", "backbone.layer1.0.conv1.weight", 3e38)
    line = told(capsys, tool, "--weights", file, "--data", f"tiny-imagenet:{root}:val")
    assert {"eval_cls": "images have a score that is NaN", "eval_loc": "boxes have a coordinate that is not"}[
        tool
    ] in line


@pytest.mark.parametrize("key", ["backbone.layer1.0.conv1.weight", "backbone.layer4.0.conv1.weight"])
@pytest.mark.parametrize("tool", ["eval_det", "ablate_det", "infer"])
def test_a_detector_that_overflows_does_not_say_that_there_is_nothing(
    tmp_path, picture, det_weights, capsys, tool, key
):
    """Suppression leaves out what is no number."""
    file = spoilt(det_weights, tmp_path / "large.pt", key, 3e38)
    words = [picture, "--out", tmp_path / "out"] if tool == "infer" else ["--data", f"voc:{tmp_path / 'voc'}:val"]
    draw(tmp_path / "voc", ("ant", "bee", "cat"))
    line = told(capsys, tool, "--weights", file, *words)
    named = picture if tool == "infer" else "JPEGImages/val0.png"
    assert f"{named}: a score or a box found in it is not finite: the network has diverged, or overflows" in line


@pytest.mark.parametrize("whose", ["loc", "rcnn"])
@pytest.mark.parametrize("voting", ["true", "false"])
def test_a_localizer_and_its_rcnn_that_overflow_are_told(tmp_path, loc_weights, capsys, whose, voting):
    saved = checkpoint.load(loc_weights)
    words = ("model.backbone.depth=18", "model.backbone.width=8", "model.size=32", "model.pad=2", "data.shorter=32")
    config = override(RCNNConfig, {}, (*words, "data.longer=64", "data.workers=0"), "test")
    model = build_rcnn(config, 3).state_dict()
    files = {"loc": loc_weights, "rcnn": tmp_path / "rcnn.pt"}
    checkpoint.save(files["rcnn"], Checkpoint("rcnn", to_dict(config), saved.class_ids, saved.class_names, 1, model))
    files[whose] = spoilt(files[whose], tmp_path / "large.pt", "backbone.layer1.0.conv1.weight", 3e38)
    root = tiny_set.draw(tmp_path / "set", wnids=tuple(saved.class_ids))
    words = ["--data", f"tiny-imagenet:{root}:val", "--set", f"rcnn.test.voting={voting}"]
    line = told(capsys, "eval_loc", "--weights", files["loc"], "--rcnn", files["rcnn"], *words)
    assert "boxes have a coordinate that is not finite" in line
