"""tools/train_rcnn.py from a localizer's proposals to an R-CNN, and what eval_loc.py and ablate_loc.py make of it."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny_set import draw, run, specs

from resdet import build
from resdet.engine import checkpoint
from resdet.jobs import second_classifier
from resdet.jobs.second_classifier import guess
from resdet.models.rcnn import RCNN

NET = "model: {backbone: {depth: 18, width: 8}"
TRAIN = "train: {epochs: 1, batch_size: 6, lr: 0.01, schedule: cosine, log_every: 1}"
CLS = f"data: {{size: 32, resize: 32, workers: 0}}\n{NET}}}\n{TRAIN}\n"
LOC = f"""
data: {{size: 32, resize: 32, workers: 0}}
{NET}, neck: 16, anchor_sizes: [12, 24], anchor_ratios: [1]}}
{TRAIN}
test: {{scales: [64]}}
"""
RCNN_CONFIG = f"""
data: {{shorter: 64, longer: 64, workers: 0}}
proposals: {{min_side: 4, kept: 20}}
{NET}, size: 32, pad: 2}}
{TRAIN}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The set, a classifier in ``cls``, a localizer in ``loc``, and an R-CNN in ``rcnn``."""
    folder = tmp_path_factory.mktemp("rcnn")
    draw(folder / "set")
    for name, text in (("cls", CLS), ("loc", LOC), ("rcnn", RCNN_CONFIG)):
        (folder / f"{name}.yaml").write_text(text)
    data = specs(folder / "set")
    assert run("train_cls", folder / "cls.yaml", *data, "--out", folder / "cls") == 0
    start = f"model.backbone.weights={folder / 'cls' / 'best.pt'}"
    assert run("train_loc", folder / "loc.yaml", *data, start, "--out", folder / "loc") == 0
    assert train(folder, folder / "rcnn") == 0
    return folder


def train(folder, out, *words):
    start = f"model.backbone.weights={folder / 'cls' / 'best.pt'}"
    proposer = f"proposals.weights={folder / 'loc' / 'best.pt'}"
    return run("train_rcnn", folder / "rcnn.yaml", *specs(folder / "set"), start, proposer, "--out", out, *words)


def evaluate(folder, out, *words):
    data = f"tiny-imagenet:{folder / 'set'}:val"
    assert run("eval_loc", "--data", data, "--json", out / "eval.json", "--workers", 0, *words) == 0
    return json.loads((out / "eval.json").read_text())


def test_an_rcnn_is_trained_from_a_classifier_and_a_localizers_proposals(folder):
    out = folder / "rcnn"
    assert {"config.yaml", "metrics.jsonl", "last.pt", "best.pt", "proposals"} <= {file.name for file in out.iterdir()}
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2]
    for row in steps:
        assert row["loss"] == pytest.approx(row["loss/object"] + row["loss/box"])
    (told,) = [row for row in rows if "val/gt_class_loc_error" in row]
    assert 0 <= told["val/gt_class_loc_error"] <= 100
    loaded = build.open_model(out / "best.pt")
    assert isinstance(loaded.model, RCNN) and loaded.task == "rcnn"
    assert checkpoint.load(out / "best.pt").config["proposals"]["kept"] == 20


def test_proposals_are_written_once_and_found_again(folder, tmp_path):
    first = sorted((folder / "rcnn" / "proposals" / "train").glob("*.npy"))
    before = [(file.name, file.stat().st_mtime_ns) for file in first]
    where = f"proposals.folder={folder / 'rcnn' / 'proposals'}"
    assert train(folder, tmp_path / "again", where) == 0
    assert [(file.name, file.stat().st_mtime_ns) for file in first] == before
    assert not (tmp_path / "again" / "proposals").exists()
    one, two = (checkpoint.load(out / "best.pt").model for out in (folder / "rcnn", tmp_path / "again"))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    table = np.load(first[0])
    assert table.shape == (12, 20, 5)  # 3 classes of 4 images
    assert (np.diff(table[..., 4]) <= 0).all()  # best first


def test_a_folder_with_a_run_in_it_is_refused_before_anything_is_proposed(folder, capsys):
    assert train(folder, folder / "rcnn", "proposals.kept=7") == 2
    assert "holds a run already: --resume continues it" in capsys.readouterr().err


def test_a_classifier_of_other_classes_is_as_good_a_start(folder, tmp_path):
    saved = checkpoint.load(folder / "cls" / "best.pt")
    weights = {name: torch.cat((v, v)) if "fc." in name else v for name, v in saved.model.items()}
    other = tuple(f"n{i}" for i in range(6))
    checkpoint.save(tmp_path / "six.pt", replace(saved, class_ids=other, class_names=other, model=weights))
    assert train(folder, tmp_path / "run", f"model.backbone.weights={tmp_path / 'six.pt'}") == 0


def test_proposals_of_another_localizer_are_refused(folder, tmp_path, capsys):
    where = f"proposals.folder={folder / 'rcnn' / 'proposals'}"
    assert train(folder, tmp_path, where, "proposals.kept=7") == 1
    assert "these proposals are others: how is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["proposals.weights="], 2, "proposals.weights is not set"),
        (["proposals.weights=FOLDER/cls/best.pt"], 2, "wanted a localizer"),
        (["proposals.weights=nowhere.pt"], 1, "nowhere.pt"),
        (["model.pad=16"], 2, "leaves nothing of model.size 32"),
        (["model.background_iou=[0,0.7]"], 2, "reaches past model.foreground_iou"),
        (["train.mixup=0.2"], 2, "train.mixup"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_code(folder, tmp_path, capsys, words, code, line):
    words = [word.replace("FOLDER", str(folder)) for word in words]
    assert train(folder, tmp_path, *words) == code
    captured = capsys.readouterr()
    assert line in captured.err and captured.err.count("\n") == 1, captured.err


def test_eval_loc_takes_rcnns_and_several_of_everything(folder, tmp_path):
    loc, rcnn, cls = (folder / name / "best.pt" for name in ("loc", "rcnn", "cls"))
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    one = evaluate(folder, tmp_path / "a", "--weights", loc, "--rcnn", rcnn, "--classifier", cls)
    twice = evaluate(
        folder, tmp_path / "b", "--weights", loc, loc, "--rcnn", rcnn, rcnn, "--classifier", cls, cls, "--batch-size", 2
    )
    assert one["cls_top1_error"] == twice["cls_top1_error"]  # twice the same says the same
    assert one["images"] == 6 and 0 <= one["gt_class_loc_error"] <= 100


def test_candidates_of_the_same_anchors_are_averaged(folder, tmp_path, capsys):
    loc = folder / "loc" / "best.pt"
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    mean = ("--protocol", "dense", "--set", "test.ensemble=mean")
    one = evaluate(folder, tmp_path / "a", "--weights", loc, "--protocol", "dense")
    assert evaluate(folder, tmp_path / "b", "--weights", loc, loc, *mean) == one  # the mean of two that are the same
    saved = checkpoint.load(loc)
    other = {**saved.config, "model": {**saved.config["model"], "anchor_sizes": [12, 28]}}
    checkpoint.save(tmp_path / "other.pt", replace(saved, config=other))
    data = ("--data", f"tiny-imagenet:{folder / 'set'}:val", "--workers", 0)
    assert run("eval_loc", "--weights", loc, tmp_path / "other.pt", *data, *mean) == 2
    said = capsys.readouterr().err
    assert "test.ensemble=mean: " in said and "other.pt has other anchors than " in said and said.count("\n") == 1
    other = {**saved.config, "test": {**saved.config["test"], "scales": [48]}}
    checkpoint.save(tmp_path / "other.pt", replace(saved, config=other))
    assert run("eval_loc", "--weights", loc, tmp_path / "other.pt", *data, *mean) == 2
    assert "other.pt has other views (test.protocol, scales" in capsys.readouterr().err


@pytest.mark.parametrize("whose", ["", "rcnn.", "classifier."], ids=["localizer", "R-CNN", "classifier"])
def test_networks_of_different_precision_answer_together(folder, tmp_path, whose):
    """Each in its own: of weights that are held in bfloat16 and others that are not, no convolution takes both."""
    loc, rcnn, cls = (folder / name / "best.pt" for name in ("loc", "rcnn", "cls"))
    words = ("--weights", loc, "--rcnn", rcnn, "--classifier", cls)
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    exact = evaluate(folder, tmp_path / "a", *words)
    mixed = evaluate(folder, tmp_path / "b", *words, "--set", f"{whose}train.precision=bf16")
    assert mixed["images"] == 6
    if whose != "classifier.":
        assert mixed["cls_top1_error"] == exact["cls_top1_error"]


def test_settings_of_classifiers_are_told_apart(folder, tmp_path, monkeypatch, capsys):
    loc, cls = folder / "loc" / "best.pt", folder / "cls" / "best.pt"
    crops = []

    def seen(together, *rest):
        crops.extend((one.protocol.size, one.protocol.resize) for one in together.each)
        return guess(together, *rest)

    monkeypatch.setattr(second_classifier, "guess", seen)
    evaluate(folder, tmp_path, "--weights", loc, "--classifier", cls)
    assert crops == [(32, 32)]
    words = ("--set", "classifier.data.size=48", "classifier.data.resize=50")
    evaluate(folder, tmp_path, "--weights", loc, "--classifier", cls, *words)
    photographs = folder / "set" / "val" / "images"
    assert run("infer", photographs, "--weights", loc, "--classifier", cls, *words, "--out", tmp_path / "out") == 0
    assert crops[1:] == [(48, 50), (48, 50)]
    data = ("--data", f"tiny-imagenet:{folder / 'set'}:val", "--workers", 0)
    assert run("eval_loc", "--weights", loc, *data, *words) == 2
    assert "no classifier of its own is named (--classifier)" in capsys.readouterr().err
    assert run("eval_loc", "--weights", loc, "--classifier", cls, *data, "--set", "classifier.data.sise=48") == 2
    assert "data.sise" in capsys.readouterr().err


def test_settings_of_rcnns_are_told_apart(folder, tmp_path, capsys):
    loc, rcnn = folder / "loc" / "best.pt", folder / "rcnn" / "best.pt"
    evaluate(folder, tmp_path, "--weights", loc, "--rcnn", rcnn, "--set", "rcnn.test.proposals=3", "test.vote_iou=0.4")
    data = ("--data", f"tiny-imagenet:{folder / 'set'}:val", "--workers", 0)
    assert run("eval_loc", "--weights", loc, *data, "--set", "rcnn.test.proposals=3") == 2
    assert "no R-CNN is named" in capsys.readouterr().err
    assert run("eval_loc", "--weights", loc, "--rcnn", loc, *data) == 2
    assert "a localizer: wanted an R-CNN" in capsys.readouterr().err
    assert run("eval_loc", "--weights", rcnn, *data) == 2
    assert "it is named by --rcnn" in capsys.readouterr().err
    assert run("eval_cls", "--weights", rcnn, *data) == 2
    assert "an R-CNN, which says nothing of an image as a whole" in capsys.readouterr().err


def test_a_folder_is_looked_at_by_localizers_and_rcnns_together(folder, tmp_path):
    loc, rcnn, cls = (folder / name / "best.pt" for name in ("loc", "rcnn", "cls"))
    photographs = folder / "set" / "val" / "images"
    once = (photographs, "--format", "jsonl", "--workers", 0, "--weights", loc)
    twice = (*once, "--weights", loc, "--rcnn", rcnn, "--rcnn", rcnn, "--classifier", cls, "--classifier", cls)
    for words, out in ((once, "a"), ((*once, "--rcnn", rcnn, "--classifier", cls), "b"), (twice, "c")):
        assert run("infer", *words, "--out", tmp_path / out) == 0
    alone, judged, together = (
        [json.loads(line) for line in (tmp_path / out / "predictions.jsonl").read_text().splitlines()]
        for out in ("a", "b", "c")
    )
    for one, other in zip(judged, together, strict=True):
        assert [d["label"] for d in one["detections"]] == [d["label"] for d in other["detections"]]
        scores = [[d["score"] for d in row["detections"]] for row in (one, other)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    assert any(a["detections"] != b["detections"] for a, b in zip(alone, judged, strict=True))


def test_table_13_has_a_row_for_every_method_that_weights_were_given_of(folder, tmp_path, capsys):
    loc, rcnn, cls = (folder / name / "best.pt" for name in ("loc", "rcnn", "cls"))
    words = ("--rpn", loc, loc, "--rcnn", rcnn, "--classifier", cls, cls, "--set", "rcnn.test.proposals=10")
    data = ("--data", f"tiny-imagenet:{folder / 'set'}:val", "--workers", 0, "--json", tmp_path / "rows.json")
    assert run("ablate_loc", *words, *data) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["method"], row["testing"]) for row in rows] == [
        ("RPN", "1-crop"),
        ("RPN", "dense"),
        ("RPN + R-CNN", "dense"),
        ("RPN + R-CNN, ensemble", "dense"),
    ]
    assert rows[0]["gt_class_gain"] is None
    for above, row in pairwise(rows):
        assert row["gt_class_gain"][0] == pytest.approx(above["gt_class_loc_error"] - row["gt_class_loc_error"])
        assert row["loc_top5_gain"][0] == pytest.approx(above["loc_top5_error"] - row["loc_top5_error"])
        assert row["gt_class_gain"][1] <= row["gt_class_gain"][0] <= row["gt_class_gain"][2]
    printed = capsys.readouterr().out
    assert "6 images" in printed and "2 LOC + 1 R-CNN + 2 CLS" in printed

    alone = evaluate(folder, tmp_path, "--weights", loc, "--classifier", cls, "--protocol", "dense")
    assert rows[1]["gt_class_loc_error"] == pytest.approx(alone["gt_class_loc_error"])
    assert rows[1]["loc_top5_error"] == pytest.approx(alone["loc_top5_error"])


def test_table_13_is_not_begun_with_networks_that_its_rows_cannot_have(folder, tmp_path, capsys):
    loc, rcnn, cls = (folder / name / "best.pt" for name in ("loc", "rcnn", "cls"))
    data = ("--data", f"tiny-imagenet:{folder / 'set'}:val", "--workers", 0, "--json", tmp_path / "rows.json")
    wrong = {
        ("--pcr", loc): "is of the other method, which is named by --rpn",
        ("--pcr", loc, loc): "the row of VGG's method has one network, got 2",
        ("--pcr", loc, "--rcnn", rcnn): "their rows have per-class RPNs in them",
        ("--rpn", loc, tmp_path / "nowhere.pt"): "nowhere.pt",
        ("--rpn", loc, "--rcnn", cls): "wanted an R-CNN",
        ("--rpn", loc, "--classifier", cls, rcnn): "an R-CNN, which says nothing of an image as a whole",
    }
    for words, line in wrong.items():
        assert run("ablate_loc", *words, *data) in (1, 2)
        said = capsys.readouterr().err
        assert line in said and said.count("\n") == 1, said
    assert not (tmp_path / "rows.json").exists()


def test_the_oracle_of_several_chooses_among_all_candidates(folder, tmp_path, capsys):
    loc = folder / "loc" / "best.pt"
    saved = checkpoint.load(loc)
    other = {**saved.config, "model": {**saved.config["model"], "anchor_sizes": [40, 60]}}
    checkpoint.save(tmp_path / "other.pt", replace(saved, config=other))

    def oracle(*weights):
        (tmp_path / str(len(list(tmp_path.iterdir())))).mkdir()
        return evaluate(folder, tmp_path, "--weights", *weights, "--oracle")["oracle_loc_error"]

    alone = oracle(loc), oracle(tmp_path / "other.pt")
    assert oracle(loc, tmp_path / "other.pt") <= min(alone)
    assert oracle(loc, loc) == alone[0]
    data = ("--data", f"tiny-imagenet:{folder / 'set'}:val", "--workers", 0)
    assert run("eval_loc", "--weights", loc, loc, *data, "--oracle", "--set", "test.ensemble=mean") == 2
    assert "test.ensemble=mean averages them" in capsys.readouterr().err


def test_table_13_wants_a_localizer(folder, capsys):
    assert run("ablate_loc", "--data", f"tiny-imagenet:{folder / 'set'}:val") == 2
    assert "--pcr and --rpn: name the weights" in capsys.readouterr().err
    words = ("--rpn", folder / "loc" / "best.pt", "--set", "rcnn.test.proposals=10")
    assert run("ablate_loc", "--data", f"tiny-imagenet:{folder / 'set'}:val", *words) == 2
    assert "no R-CNN is named" in capsys.readouterr().err
