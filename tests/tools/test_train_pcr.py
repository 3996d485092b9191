"""VGG's per-class regression through every tool: trained, resumed, measured, used and exported like any localizer."""

import json

import pytest
import torch
from tiny_set import draw, run, specs

from resdet import build
from resdet.engine import checkpoint
from resdet.inference.onnx import as_function
from resdet.models.pcr import PCRLocalizer

PCR = """
data: {size: 32, resize: 32, workers: 0}
model: {method: pcr, bins: 2, neck: 16, backbone: {depth: 18, width: 8, stem: 3x3-pool}}
train: {epochs: 1, batch_size: 6, lr: 0.01, schedule: cosine, log_every: 1, sizes: [[0, 32]]}
test: {scales: [32, 48], voting: greedy}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The set, and a finished run in ``pcr``."""
    folder = tmp_path_factory.mktemp("pcr")
    draw(folder / "set")
    (folder / "pcr.yaml").write_text(PCR)
    assert run("train_loc", folder / "pcr.yaml", *specs(folder / "set"), "--out", folder / "pcr") == 0
    return folder


def test_it_is_trained_as_any_localizer(folder):
    rows = [json.loads(line) for line in (folder / "pcr" / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2]
    for row in steps:
        assert row["loss"] == pytest.approx(row["loss/class"] + row["loss/box"])
    (told,) = [row for row in rows if "val/loss" in row]
    assert 0 <= told["val/gt_class_loc_error"] <= 100


def test_its_checkpoint_opens_as_what_was_saved(folder):
    saved = checkpoint.load(folder / "pcr" / "best.pt")
    loaded = build.open_model(folder / "pcr" / "best.pt")
    assert saved.task == loaded.task == "loc"
    assert isinstance(loaded.model, PCRLocalizer)
    assert (loaded.model.bins, loaded.model.side) == (2, 2)
    torch.testing.assert_close(loaded.model.state_dict(), dict(saved.model), rtol=0, atol=0)


@pytest.mark.parametrize("protocol", ["1-crop", "dense"])
def test_it_is_measured_and_what_was_written_scores_as_the_weights_did(folder, tmp_path, protocol):
    data = f"tiny-imagenet:{folder / 'set'}:val"
    words = ("--weights", folder / "pcr" / "best.pt", "--data", data, "--protocol", protocol, "--out", tmp_path)
    assert run("eval_loc", *words, "--oracle") == 0
    direct = json.loads((tmp_path / "eval.json").read_text())
    assert direct["images"] == 6
    assert direct["gt_class_loc_error"] is not None
    if protocol == "1-crop":  # one candidate: there is nothing to choose
        assert direct["oracle_loc_error"] == pytest.approx(direct["gt_class_loc_error"], abs=100 / 6)
    read = tmp_path / "read.json"
    assert run("eval_loc", "--predictions", tmp_path / "predictions.txt", "--data", data, "--json", read) == 0
    assert json.loads(read.read_text())["loc_top5_error"] == direct["loc_top5_error"]


def test_it_answers_a_box_for_each_guess(folder, tmp_path):
    image = next((folder / "set" / "val" / "images").iterdir())
    assert run("infer", "--weights", folder / "pcr" / "best.pt", image, "--out", tmp_path, "--format", "jsonl") == 0
    (file,) = tmp_path.glob("*.jsonl")
    (answer,) = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(answer["detections"]) == 3
    for found in answer["detections"]:
        x1, y1, x2, y2 = found["box"]
        assert 0 <= x1 <= x2 <= 64
        assert 0 <= y1 <= y2 <= 64


def test_as_one_function_it_gives_the_box_of_each_guess(folder):
    model = build.open_model(folder / "pcr" / "best.pt").model
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        probabilities, labels, boxes, scores = as_function(model)(images)
        expected_scores, expected = model.boxes(model.features(images), labels)
    assert torch.equal(labels, probabilities.argsort(1, descending=True))
    torch.testing.assert_close(scores, expected_scores[:, :, 0])
    torch.testing.assert_close(boxes, expected[:, :, 0].clamp(0, 32))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # of torch 2.11's exporter about torch itself
def test_its_answers_are_the_same_from_an_onnx_file(folder, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    out = tmp_path / "pcr.onnx"
    assert run("export", "--weights", folder / "pcr" / "best.pt", "--out", out) == 0
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    probabilities, labels, boxes, scores = map(torch.from_numpy, session.run(None, {"images": images.numpy()}))
    model = build.open_model(folder / "pcr" / "best.pt").model
    with torch.no_grad():
        maps = model.features(images)
        torch.testing.assert_close(probabilities, model.class_logits(maps).softmax(1), rtol=1e-4, atol=1e-5)
        expected_scores, expected = model.boxes(maps, labels)
    torch.testing.assert_close(scores, expected_scores[:, :, 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(boxes, expected[:, :, 0].clamp(0, 32), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["model.method=vgg"], "model.method must be one of rpn, pcr, got 'vgg'"),
        (["model.feature=conv4"], "model.feature is for model.method=rpn, this is pcr"),
        (["model.anchor_sizes=[16]"], "model.anchor_sizes is for model.method=rpn, this is pcr"),
        (["model.method=rpn"], "model.bins is for model.method=pcr, this is rpn"),
        (["model.bins=0"], "model.bins must be 1 or more, got 0"),
    ],
)
def test_settings_of_the_other_method_are_wrong_usage(folder, tmp_path, capsys, words, line):
    assert run("train_loc", folder / "pcr.yaml", *specs(folder / "set"), "--out", tmp_path, *words) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    assert line in captured.err
