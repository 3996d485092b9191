"""tools/train_loc.py from a classifier's checkpoint to a localizer's."""

import json

import pytest
import torch
from tiny_set import draw, main_of, specs

from resdet import build, cli
from resdet.engine import checkpoint
from resdet.jobs import localization
from resdet.models.localizer import Localizer

TRAIN_CLS, TRAIN_LOC = main_of("train_cls"), main_of("train_loc")

CLS = """
data: {size: 32, resize: 32, workers: 0}
model: {backbone: {depth: 18, width: 8}}
train: {epochs: 1, batch_size: 6, lr: 0.01, schedule: cosine}
"""
LOC = """
data: {size: 32, resize: 32, workers: 0}
model: {backbone: {depth: 18, width: 8}, neck: 16, anchor_sizes: [12, 24], anchor_ratios: [1]}
train: {epochs: 1, batch_size: 6, lr: 0.01, schedule: cosine, log_every: 1}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The set, the two configs, and a finished classifier in ``cls``."""
    folder = tmp_path_factory.mktemp("loc")
    draw(folder / "set")
    (folder / "cls.yaml").write_text(CLS)
    (folder / "loc.yaml").write_text(LOC)
    words = [folder / "cls.yaml", *specs(folder / "set"), "--out", folder / "cls"]
    assert cli.run(TRAIN_CLS, [str(word) for word in words]) == 0
    return folder


def train(folder, out, *words):
    weights = f"model.backbone.weights={folder / 'cls' / 'best.pt'}"
    words = [folder / "loc.yaml", *specs(folder / "set"), weights, "--out", out, *words]
    return cli.run(TRAIN_LOC, [str(word) for word in words])


def test_a_localizer_is_trained_from_a_classifier(folder, tmp_path):
    assert train(folder, tmp_path) == 0
    assert {"config.yaml", "metrics.jsonl", "last.pt", "best.pt"} <= {file.name for file in tmp_path.iterdir()}
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2]
    for row in steps:
        assert row["loss"] == pytest.approx(row["loss/class"] + row["loss/object"] + row["loss/box"])
    (told,) = [row for row in rows if "val/loss" in row]
    for name in ("cls_top1_error", "loc_top5_error", "gt_class_loc_error"):
        assert 0 <= told[f"val/{name}"] <= 100
    loaded = build.open_model(tmp_path / "best.pt")
    assert isinstance(loaded.model, Localizer)
    assert checkpoint.load(tmp_path / "best.pt").task == "loc"


def test_the_classifiers_weights_are_what_training_starts_from(folder, tmp_path):
    # warm-up: the first step's rate is 0, so a run of one step ends as it began
    words = ["train.warmup_epochs=0.5", "train.epochs=0.5", "train.batch_size=6"]
    assert train(folder, tmp_path, *words) == 0
    last = checkpoint.load(tmp_path / "last.pt")
    assert last.step == 1
    classifier = checkpoint.load(folder / "cls" / "best.pt").model
    assert all(torch.equal(last.model[name], value) for name, value in classifier.items())  # batch norm frozen


def test_the_classifier_may_be_left_out_of_the_learning(folder, tmp_path):
    assert train(folder, tmp_path, "model.class_weight=0", "train.weight_decay=0") == 0
    before, after = (checkpoint.load(file).model for file in (folder / "cls" / "best.pt", tmp_path / "last.pt"))
    assert torch.equal(after["backbone.fc.weight"], before["backbone.fc.weight"])
    assert not torch.equal(after["backbone.conv1.weight"], before["backbone.conv1.weight"])


@pytest.mark.parametrize(("weight", "best"), [(1, 1), (0, 2)])
def test_what_is_best_goes_by_the_classifier_only_where_it_learns(folder, tmp_path, monkeypatch, weight, best):
    errors = iter(
        ({"loc_top5_error": 60.0, "gt_class_loc_error": 50.0}, {"loc_top5_error": 70.0, "gt_class_loc_error": 40.0})
    )
    monkeypatch.setattr(localization, "metrics", lambda *_: next(errors))
    assert train(folder, tmp_path, f"model.class_weight={weight}", "train.eval_every=0.5") == 0
    assert checkpoint.load(tmp_path / "best.pt").step == best


@pytest.mark.parametrize(
    "method", [(), ("model.method=pcr", "model.anchor_sizes=[64,128,224]", "model.anchor_ratios=[0.5,1,2]")]
)
def test_training_goes_on_from_a_localizer_with_new_outputs_for_new_classes(folder, tmp_path, method):
    assert train(folder, tmp_path / "first", *method) == 0
    before = checkpoint.load(tmp_path / "first" / "best.pt").model
    draw(tmp_path / "set", ("n07", "n08", "n09"))
    # warm-up: the first step's rate is 0, so a run of one step ends as it began
    still = ("train.warmup_epochs=0.5", "train.epochs=0.5", "model.backbone.weights=", *method)
    for root, out in ((folder, "same"), (tmp_path, "other")):
        start = f"model.weights={tmp_path / 'first' / 'best.pt'}"
        words = (folder / "loc.yaml", *specs(root / "set"), start, "--out", tmp_path / out, *still)
        assert cli.run(TRAIN_LOC, [str(word) for word in words]) == 0
        after = checkpoint.load(tmp_path / out / "last.pt").model
        changed = {name.rpartition(".")[0] for name in before if not torch.equal(before[name], after[name])}
        siblings = {"head.reg"} if method else {"rpn.cls", "rpn.reg"}
        assert changed == ({"backbone.fc", *siblings} if out == "other" else set())


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["model.feature=conv3"], 2, "model.feature must be one of conv4, conv5"),
        (["model.ancor_sizes=[1]"], 2, "did you mean 'model.anchor_sizes'?"),
        (["model.backbone.weights=nowhere.pt"], 1, "nowhere.pt"),
        (["model.backbone.depth=34"], 2, "best.pt"),
        (["model.weights=x.pt"], 2, "leave model.backbone.weights out"),
        (["model.backbone.weights=", "model.weights=CLS"], 1, "it is for model.backbone.weights"),
        (["data.val=tiny-imagenet:SET:test"], 1, "test"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_code(folder, tmp_path, capsys, words, code, line):
    words = [word.replace("SET", str(folder / "set")).replace("CLS", str(folder / "cls/best.pt")) for word in words]
    assert train(folder, tmp_path, *words) == code
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    assert line in captured.err


def test_a_classifiers_run_cannot_be_resumed_as_a_localizers(folder, capsys):
    assert train(folder, folder / "cls", "--resume") == 1
    assert "of a run of the kind 'cls', this one is 'loc'" in capsys.readouterr().err


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit) as done:
        TRAIN_LOC(["--help"])
    assert done.value.code == 0
    assert "example:\n  python tools/train_loc.py configs/loc/" in capsys.readouterr().out
