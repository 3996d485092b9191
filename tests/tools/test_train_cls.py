"""tools/train_cls.py from its arguments to its files."""

import json
import subprocess
import sys

import pytest
import torch
import yaml
from tiny_set import TOOLS, draw, main_of, specs

from resdet import build, cli
from resdet.config import ClsConfig, from_dict, load_config
from resdet.engine import checkpoint
from resdet.jobs.folder_lock import locked

MAIN = main_of("train_cls")
TOOL = TOOLS / "train_cls.py"
CONFIG = """
data: {size: 32, resize: 32, workers: 0}
model: {backbone: {depth: 18, width: 8}}
train: {epochs: 2, batch_size: 4, lr: 0.01, schedule: cosine, log_every: 1, ema: 0.5}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("set"))


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(CONFIG)
    return file


def train(*words):
    """Run the tool here: its exit code."""
    return cli.run(MAIN, [str(word) for word in words])


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.yaml").write_text(CONFIG)
    assert train(folder / "tiny.yaml", *specs(data), "--out", folder / "out") == 0
    return folder / "out"


def one_line(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    return lines[0]


def test_a_run_leaves_its_config_its_numbers_and_two_checkpoints(run, data):
    names = {file.name.split(".tfevents")[0] for file in run.iterdir()}
    assert names == {"config.yaml", "metrics.jsonl", "last.pt", "before-last.pt", "best.pt", "events.out"}
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4, 5, 6]  # 12 images, 4 a step, 2 epochs
    told = [row for row in rows if "val/loss" in row]
    assert [row["epoch"] for row in told] == [1, 2]
    for row in told:
        assert 0 <= row["val/top1_error"] <= 100
        mine = [r["batch/top1_error"] for r in rows if "loss" in r and row["epoch"] - 1 < r["epoch"] <= row["epoch"]]
        assert row["train/top1_error"] == pytest.approx(sum(mine) / 3)
        assert row["val/top5_error"] == 0  # of three classes
    last = checkpoint.load(run / "last.pt")
    assert last.class_ids[0] == "n01443537"
    assert last.class_names[0] == "name of n01443537"
    assert last.metrics["top1_error"] == told[-1]["val/top1_error"]


def test_the_config_in_the_folder_is_every_setting_as_it_was_resolved(run, data):
    config = load_config(ClsConfig, run / "config.yaml")
    assert config.data.train == f"tiny-imagenet:{data}:train"
    assert (config.train.epochs, config.train.momentum) == (2, 0.9)
    assert config == from_dict(ClsConfig, checkpoint.load(run / "last.pt").config, "last.pt")
    assert set(yaml.safe_load((run / "config.yaml").read_text())["train"]) == set(vars(config.train))


def test_the_best_checkpoint_opens_as_the_model_it_was(run):
    loaded = build.open_model(run / "best.pt")
    assert len(loaded.classes) == 3
    assert all(torch.equal(v, checkpoint.load(run / "best.pt").model[k]) for k, v in loaded.model.state_dict().items())


def test_the_same_seed_gives_the_same_run_and_another_seed_another(run, data, config, tmp_path):
    assert train(config, *specs(data), "--out", tmp_path / "same") == 0
    assert train(config, "--out", tmp_path / "other", *specs(data), "train.seed=1") == 0  # words after options too
    weights = [checkpoint.load(folder / "last.pt").model for folder in (run, tmp_path / "same", tmp_path / "other")]
    assert all(torch.equal(weights[0][k], v) for k, v in weights[1].items())
    assert not torch.equal(weights[0]["backbone.fc.weight"], weights[2]["backbone.fc.weight"])


def test_a_run_in_the_way_stays_and_resuming_it_when_finished_changes_nothing(run, data, capsys):
    config = run.parent / "tiny.yaml"
    before = {file.name: file.read_bytes() for file in run.iterdir()}
    assert train(config, *specs(data), "--out", run) == 2
    assert "--resume continues it" in one_line(capsys)
    assert train(config, *specs(data), "--out", run, "--resume") == 0
    assert "ended already, at step 6 of 6" in one_line(capsys)
    assert {file.name: file.read_bytes() for file in run.iterdir()} == before
    assert train(config, *specs(data), "--out", run, "--resume", "train.lr=1") == 1
    assert "train.lr = 0.01, now 1.0" in one_line(capsys)


def test_a_folder_that_another_process_trains_into_is_refused_and_left_alone(data, config, tmp_path, capsys):
    out = tmp_path / "out"
    with locked(out):
        assert train(config, *specs(data), "--out", out, "--resume") == 2
    assert f"{out}: another run is writing there" in one_line(capsys)
    assert list(out.iterdir()) == []


def test_a_run_is_resumed_where_it_stopped(run, data, config, tmp_path):
    out = tmp_path / "out"
    assert train(config, *specs(data), "--out", out, "--resume", "train.stop_epoch=1") == 0
    assert checkpoint.load(out / "last.pt").step == 3
    assert "stop_epoch: 1" in (out / "config.yaml").read_text()
    assert train(config, *specs(data), "--out", out, "--resume") == 0
    assert "stop_epoch: 0" in (out / "config.yaml").read_text()  # how it went on, not how it began
    whole, parts = checkpoint.load(run / "last.pt"), checkpoint.load(out / "last.pt")
    assert parts.step == 6
    assert all(torch.equal(whole.resume["model"][k], v) for k, v in parts.resume["model"].items())
    assert all(torch.equal(whole.model[k], v) for k, v in parts.model.items())


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["train.lr_drop_stepz=[1]"], 2, "train.lr_drop_stepz=[1]: unknown setting 'train.lr_drop_stepz'; did you"),
        (["train.epochs=-1"], 2, "train.epochs must be above 0, got -1.0"),
        (["train.precision=fp16"], 2, "train.precision fp16 needs CUDA"),
        (["data.train="], 2, "data.train is not set: name a data set"),
        (["data.train=tiny-imagenet:/no/such/folder:train"], 1, "no folder /no/such/folder"),
        (["model.backbone.weights=nowhere.pt"], 1, "nowhere.pt"),
        (["--device", "cuda:77"], 2, "--device cuda:77: this machine has cpu"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_code(data, config, tmp_path, capsys, words, code, line):
    assert train(config, *specs(data), *words, "--device", "cpu", *words, "--out", tmp_path / "out") == code
    assert line in one_line(capsys)
    assert not (tmp_path / "out" / "last.pt").exists()


def test_a_missing_config_is_a_usage_error(tmp_path, capsys):
    assert train(tmp_path / "nowhere.yaml") == 2
    assert "nowhere.yaml: no such config" in one_line(capsys)


def test_sets_with_other_classes_are_told_apart(data, config, tmp_path, capsys):
    other = draw(tmp_path / "other", ("n01443537", "n07720875", "n01641577"))
    fewer = draw(tmp_path / "fewer", ("n01443537", "n01629819"))
    train_spec = specs(data)[0]
    assert train(config, train_spec, specs(other)[1]) == 1
    assert "class 1 of tiny-imagenet:" in (line := one_line(capsys))
    assert "'n01629819'" in line
    assert "'n07720875'" in line
    assert train(config, train_spec, specs(fewer)[1]) == 1
    assert "has 3 classes" in (line := one_line(capsys))
    assert "has 2: they must be the same" in line


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_stops_training_with_its_name(tmp_path, config, capsys, workers):
    broken = draw(tmp_path / "set")
    for file in (broken / "train" / "n01641577" / "images").iterdir():
        file.write_bytes(b"no image")
    assert train(config, *specs(broken), "--out", tmp_path / "out", f"data.workers={workers}") == 1
    line = one_line(capsys)
    assert ".JPEG: wanted an image" in line
    assert "Traceback" not in line


def test_weights_of_another_class_count_are_told_and_fit_with_a_new_classifier(run, tmp_path, capsys):
    fewer = draw(tmp_path / "set", ("n01443537", "n01629819"))
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    words = [tmp_path / "tiny.yaml", *specs(fewer), f"model.backbone.weights={run / 'best.pt'}"]
    assert train(*words, "--out", tmp_path / "a") == 1
    told = "its classifier tells 3 classes apart, the data set has 2; model.backbone.new_classifier=true starts without"
    assert told in one_line(capsys)
    assert train(*words, "--out", tmp_path / "b", "model.backbone.new_classifier=true") == 0


def test_weights_of_as_many_other_classes_are_told_before_the_first_step(run, tmp_path, capsys):
    other = draw(tmp_path / "set", ("n01443537", "n01629819", "n07720875"))
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    words = [tmp_path / "tiny.yaml", *specs(other), f"model.backbone.weights={run / 'best.pt'}"]
    assert train(*words, "--out", tmp_path / "a") == 1
    assert "best.pt: has class 'n01641577' where the data set has 'n07720875'" in one_line(capsys)
    assert train(*words, "--out", tmp_path / "b", "model.backbone.new_classifier=true") == 0


def test_help_shows_an_example():
    done = subprocess.run([sys.executable, str(TOOL), "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "example:\n  python tools/train_cls.py configs/cls/" in done.stdout


def test_as_a_script_it_exits_with_the_code_and_one_line(config):
    words = [sys.executable, str(TOOL), str(config), "train.lrr=1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "did you mean 'train.lr'?" in done.stderr
