"""tools/train_det.py from a classifier's checkpoint to a detector's."""

import json
import shutil

import pytest
import torch
from tiny_set import main_of
from tiny_voc import CLASSES, draw, specs

from resdet import build, cli
from resdet.config import ClsConfig
from resdet.engine import checkpoint
from resdet.engine.checkpoint import Checkpoint
from resdet.models.faster_rcnn import FasterRCNN
from resdet.settings import override, to_dict

TRAIN_DET = main_of("train_det")
DET = """
data: {shorter: 64, longer: 96, workers: 0}
model: {backbone: {depth: 18, width: 8}, rpn_channels: 16, anchor_sizes: [24, 40], pool_size: 4, min_side: 4,
        inside_anchors: false, pre_nms: 100, proposals: 30, anchors_per_image: 32, regions_per_image: 8}
train: {epochs: 1, batch_size: 2, lr: 0.01, schedule: cosine, log_every: 1, save_every: 0}
test: {shorter: 64, longer: 96, pre_nms: 100, proposals: 10, min_side: 4, batch_size: 2}
"""
CLASSIFIER = ("model.backbone.depth=18", "model.backbone.width=8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The set, the config, and a classifier of five classes in ``cls.pt``."""
    folder = tmp_path_factory.mktemp("det")
    draw(folder / "set")
    (folder / "det.yaml").write_text(DET)
    config = override(ClsConfig, {}, CLASSIFIER, "test")
    torch.manual_seed(7)
    model = build.build_classifier(config, 5)
    checkpoint.save(
        folder / "cls.pt", Checkpoint("cls", to_dict(config), tuple("abcde"), tuple("ABCDE"), 1, model.state_dict())
    )
    return folder


def train(folder, out, *words):
    weights = f"model.backbone.weights={folder / 'cls.pt'}"
    words = [folder / "det.yaml", *specs(folder / "set"), weights, "--out", out, *words]
    return cli.run(TRAIN_DET, [str(word) for word in words])


@pytest.fixture(scope="module")
def trained(folder):
    """A run of two epochs, of three steps each."""
    assert train(folder, folder / "run", "train.epochs=2") == 0
    return folder / "run"


def rows_of(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_detector_is_trained_from_a_classifier(trained):
    assert {"config.yaml", "metrics.jsonl", "last.pt", "best.pt"} <= {file.name for file in trained.iterdir()}
    steps = [row for row in rows_of(trained) if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5, 6]
    for row in steps:
        parts = [row[f"loss/{name}"] for name in ("object", "proposal", "class", "box")]
        assert row["loss"] == pytest.approx(sum(parts))
    told = [row for row in rows_of(trained) if "val/loss" in row]
    assert [row["step"] for row in told] == [3, 6]
    for row in told:
        assert row["val/error"] == pytest.approx(100 - row["val/mAP"])
        assert row["val/loss"] == pytest.approx(sum(v for k, v in row.items() if k.startswith("val/loss/")))
    best = checkpoint.load(trained / "best.pt")
    assert (best.task, best.class_ids) == ("det", CLASSES)
    loaded = build.open_model(trained / "best.pt")
    assert isinstance(loaded.model, FasterRCNN)
    assert loaded.model.head.classes == 3


def test_the_classifiers_weights_are_what_training_starts_from(folder, tmp_path):
    # warm-up: the first step's rate is 0, so a run of one step ends as it began
    assert train(folder, tmp_path, "train.warmup_epochs=0.3", "train.epochs=0.33") == 0
    last = checkpoint.load(tmp_path / "last.pt")
    assert last.step == 1
    classifier = checkpoint.load(folder / "cls.pt").model
    shared = {name: value for name, value in last.model.items() if name.startswith("backbone.")}
    assert shared.keys() == {name for name in classifier if not name.startswith("backbone.fc.")}
    assert all(torch.equal(value, classifier[name]) for name, value in shared.items())


def test_a_run_that_was_stopped_ends_as_one_that_was_not(folder, trained, tmp_path):
    assert train(folder, tmp_path, "train.epochs=2", "train.stop_epoch=1") == 0
    assert checkpoint.load(tmp_path / "last.pt").step == 3
    assert train(folder, tmp_path, "train.epochs=2", "--resume", "data.workers=1") == 0
    expected, found = (checkpoint.load(out / "last.pt") for out in (trained, tmp_path))
    assert found.step == 6
    assert same(found.model, expected.model)
    assert [{**row, "images_per_s": 0} for row in rows_of(tmp_path)] == [
        {**row, "images_per_s": 0} for row in rows_of(trained)
    ]


def test_parts_of_a_step_averaged_weights_and_bf16(folder, tmp_path):
    words = ("train.accumulate=2", "train.ema=0.5", "train.precision=bf16", "model.context=true", "model.pool=pool")
    assert train(folder, tmp_path, *words) == 0
    last = checkpoint.load(tmp_path / "last.pt")
    assert not same(last.model, last.resume["model"])
    assert all(value.isfinite().all() for value in last.model.values())


def test_a_rate_is_scaled_to_the_batch_and_said(folder, tmp_path, capsys):
    assert train(folder, tmp_path, "train.lr=0.08", "train.lr_batch=16", "train.epochs=0.33") == 0
    assert "learning rate 0.01: 0.08 for 16 images, 2 a step" in capsys.readouterr().out
    assert rows_of(tmp_path)[0]["lr"] == pytest.approx(0.01)


def test_a_detector_starts_from_another_with_new_siblings_for_new_classes(folder, trained, tmp_path):
    draw(tmp_path / "set", ("cyan", "green", "red"))
    still = (
        "train.warmup_epochs=0.3",
        "train.epochs=0.33",
        "model.backbone.weights=",
        f"model.weights={trained}/best.pt",
    )
    before = checkpoint.load(trained / "best.pt").model
    for root, out in ((tmp_path, "new"), (folder, "old")):
        words = [folder / "det.yaml", *specs(root / "set"), "--out", tmp_path / out, *still]
        assert cli.run(TRAIN_DET, [str(word) for word in words]) == 0
        after = checkpoint.load(tmp_path / out / "last.pt").model
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        siblings = {"head.cls.weight", "head.cls.bias", "head.reg.weight", "head.reg.bias"}
        assert changed == (siblings if out == "new" else set())


@pytest.fixture(scope="module")
def alternated(folder):
    assert train(folder, folder / "four", "model.schedule=alternating") == 0
    return folder / "four"


def parts_of(file):
    """The weights of the shared layers, the RPN, and of what is each region's."""
    model = checkpoint.load(file).model
    own = ("backbone.layer4.", "head.")
    return (
        {k: v for k, v in model.items() if k.startswith("backbone.") and not k.startswith(own)},
        {k: v for k, v in model.items() if k.startswith("rpn.")},
        {k: v for k, v in model.items() if k.startswith(own)},
    )


def test_in_four_steps_each_part_learns_when_it_is_its_turn(folder, alternated):
    shared, rpn, region = zip(*(parts_of(alternated / f"step{i}" / "last.pt") for i in (1, 2, 3, 4)), strict=True)
    assert not same(shared[0], shared[1])
    assert same(shared[1], shared[2])
    assert same(shared[2], shared[3])
    assert not same(rpn[0], rpn[1])  # the second step's is not used and is as drawn
    assert not same(rpn[2], rpn[0])
    assert same(rpn[2], rpn[3])
    assert not same(region[0], region[1])
    assert same(region[1], region[2])
    assert not same(region[2], region[3])
    classifier = checkpoint.load(folder / "cls.pt").model
    assert torch.equal(region[0]["backbone.layer4.1.conv2.weight"], classifier["backbone.layer4.1.conv2.weight"])


def test_in_four_steps_each_has_its_losses_and_the_last_is_the_whole_detector(alternated):
    for step, names in (
        (1, {"object", "proposal"}),
        (2, {"class", "box"}),
        (3, {"object", "proposal"}),
        (4, {"class", "box"}),
    ):
        rows = rows_of(alternated / f"step{step}")
        found = {k.removeprefix("loss/") for row in rows for k in row if k.startswith("loss/")}
        assert found == names
        assert any("val/mAP" in row for row in rows) == (step == 4)
    last = checkpoint.load(alternated / "last.pt")
    assert same(last.model, checkpoint.load(alternated / "step4" / "last.pt").model)
    assert "mAP" in last.metrics
    assert isinstance(build.open_model(alternated / "best.pt").model, FasterRCNN)


def test_the_folder_of_four_steps_has_their_settings_and_their_numbers(alternated):
    assert "schedule: alternating" in (alternated / "config.yaml").read_text()
    rows = rows_of(alternated)
    assert list(dict.fromkeys(row["part"] for row in rows)) == ["step1", "step2", "step3", "step4"]
    assert [{k: v for k, v in row.items() if k != "part"} for row in rows if row["part"] == "step2"] == rows_of(
        alternated / "step2"
    )


def test_four_steps_do_not_overwrite_a_run_that_lies_in_their_folder(folder, trained, alternated, capsys):
    before = [(out / "best.pt").read_bytes() for out in (trained, alternated)]
    for out in (trained, alternated):
        assert train(folder, out, "model.schedule=alternating") == 2
        assert "--resume continues it" in capsys.readouterr().err
    assert train(folder, trained, "model.schedule=alternating", "--resume") == 1
    assert "model.schedule = 'joint', now 'alternating'" in capsys.readouterr().err
    assert [(out / "best.pt").read_bytes() for out in (trained, alternated)] == before


def test_four_steps_that_were_stopped_are_not_taken_for_a_free_folder(folder, alternated, tmp_path, capsys):
    for name in ("step1", "step2", "config.yaml"):  # as after a kill in the second step
        copied = shutil.copytree if (alternated / name).is_dir() else shutil.copy
        copied(alternated / name, tmp_path / name)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    for words, code, line in (
        ((), 2, "holds a run already"),
        (("--resume",), 1, "model.schedule = 'alternating', now 'joint'"),
        (("model.schedule=alternating",), 2, "holds a run already"),
        (("model.schedule=alternating", "--resume", "train.lr=1"), 1, "now 1.0: not the same run"),
    ):
        assert train(folder, tmp_path, *words) == code
        assert line in capsys.readouterr().err
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_four_steps_that_ended_early_are_not_each_gone_on_with(folder, alternated, tmp_path, capsys):
    """A later step began from what an earlier one was then."""
    early = ("model.schedule=alternating", "train.stop_epoch=0.34")
    assert train(folder, tmp_path, *early) == 0
    assert [checkpoint.load(tmp_path / f"step{i}" / "last.pt").step for i in (1, 2, 3, 4)] == [1] * 4
    before = (tmp_path / "last.pt").read_bytes()
    capsys.readouterr()
    assert train(folder, tmp_path, early[0], "--resume") == 1
    assert "step2/last.pt was trained with train.stop_epoch = 0.34, now 0.0" in capsys.readouterr().err
    assert train(folder, tmp_path, *early, "--resume") == 0
    assert (tmp_path / "last.pt").read_bytes() == before

    for name in ("step2", "step3", "step4"):  # the first alone can be gone on with
        shutil.rmtree(tmp_path / name)
    for name in ("last.pt", "best.pt"):
        (tmp_path / name).unlink()
    assert train(folder, tmp_path, early[0], "--resume") == 0
    assert same(*(checkpoint.load(out / "last.pt").model for out in (alternated, tmp_path)))


def test_four_steps_that_were_stopped_end_as_those_that_were_not(folder, alternated, tmp_path):
    shutil.copytree(alternated, tmp_path / "cut")
    for name in ("step3", "step4"):
        shutil.rmtree(tmp_path / "cut" / name)
    assert train(folder, tmp_path / "cut", "model.schedule=alternating", "--resume") == 0
    expected, found = (checkpoint.load(out / "last.pt").model for out in (alternated, tmp_path / "cut"))
    assert same(found, expected)


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["model.ancor_sizes=[16]"], 2, "did you mean 'model.anchor_sizes'?"),
        (["model.schedule=both"], 2, "model.schedule must be one of joint, alternating"),
        (["model.inside_anchors=true", "model.anchor_sizes=[128]"], 2, "there would be nothing to learn from"),
        (["train.label_smoothing=0.1"], 2, "train.label_smoothing is a setting of classification"),
        (["train.sizes=[[0, 64]]"], 2, "train.sizes is a setting of classification"),
        (["model.weights=x.pt"], 2, "leave model.backbone.weights out"),
        (["model.backbone.weights=", "model.weights=CLS"], 1, "it is for model.backbone.weights"),
        (["model.backbone.weights=nowhere.pt"], 1, "nowhere.pt"),
        (["model.backbone.depth=34"], 2, "cls.pt"),
        (["model.backbone.family=cifar", "model.backbone.depth=20", "model.backbone.width=64"], 2, "must be imagenet"),
        (["data.val=voc:SET:test"], 1, "test"),
        (["data.val=voc:SET:empty"], 1, "not one of 1 images has a box"),
        (["data.train="], 2, "data.train is not set"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_a_code(folder, tmp_path, capsys, words, code, line):
    (folder / "set/ImageSets/Main/empty.txt").write_text("train4\n")
    words = [word.replace("SET", str(folder / "set")).replace("CLS", str(folder / "cls.pt")) for word in words]
    assert train(folder, tmp_path, *words) == code
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    assert line in captured.err


def test_a_finished_run_is_not_overwritten(folder, trained, capsys):
    assert train(folder, trained, "train.epochs=2") == 2
    assert "--resume continues it" in capsys.readouterr().err


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit) as done:
        TRAIN_DET(["--help"])
    assert done.value.code == 0
    assert "example:\n  python tools/train_det.py configs/det/" in capsys.readouterr().out
