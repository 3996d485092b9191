"""tools/plot_runs.py on runs that tools/train_cls.py has made."""

import json
import sys
from io import StringIO

import cv2
import pytest
from tiny_set import draw, main_of, specs

from resdet import cli

MAIN, TRAIN = main_of("plot_runs"), main_of("train_cls")
CONFIG = """
data: {size: 16, resize: 16, workers: 0}
model: {backbone: {family: cifar, depth: 20}}
train: {epochs: 2, batch_size: 6, lr: 0.01, schedule: cosine, precision: bf16}
augment: {pca_lighting: 0}
"""


def plot(*words):
    return cli.run(MAIN, [str(word) for word in words])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A plain net's folder and a residual one's."""
    folder = tmp_path_factory.mktemp("runs")
    data = specs(draw(folder / "set"))
    (folder / "tiny.yaml").write_text(CONFIG)
    for name, shortcut in (("plain", "none"), ("residual", "A")):
        words = [str(folder / "tiny.yaml"), *data, f"model.backbone.shortcut={shortcut}", "--out", str(folder / name)]
        assert cli.run(TRAIN, words) == 0
    return folder / "plain", folder / "residual"


def test_numbers_are_written_where_nobody_reads_the_table(runs, tmp_path, monkeypatch):
    gone = StringIO()
    gone.close()
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="closed file"):
        patch.setattr(sys, "stdout", gone)
        plot(*runs, "--out", tmp_path / "curves.png", "--json", tmp_path / "n.json")
    assert set(json.loads((tmp_path / "n.json").read_text())["runs"]) == {"plain", "residual"}


def test_curves_and_responses_become_a_picture_a_table_and_numbers(runs, tmp_path, capsys):
    out = tmp_path / "new" / "curves.png"
    assert plot(*runs, "--out", out, "--responses", "--images", 4, "--json", tmp_path / "n.json") == 0
    assert cv2.imread(str(out)).shape == (720, 960, 3)
    told = capsys.readouterr().out
    found = json.loads((tmp_path / "n.json").read_text())
    assert found["metric"] == "top1_error"
    for run in runs:
        last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        numbers = found["runs"][run.name]
        assert (numbers["training"], numbers["validation"]) == (last["train/top1_error"], last["val/top1_error"])
        line = next(line for line in told.splitlines() if line.startswith(run.name))
        assert line.split()[1:3] == ["2.00", f"{last['train/top1_error']:.2f}"]
        assert len(found["responses"][run.name]) == 19
        assert all(value > 0 for value in found["responses"][run.name].values())


def test_curves_alone_need_no_weights_and_no_images(runs, tmp_path, capsys):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("metrics.jsonl", "config.yaml"):
        (copy / name).write_bytes((runs[0] / name).read_bytes())
    assert plot(copy, "--out", tmp_path / "a.jpg", "--metric", "loss") == 0
    assert cv2.imread(str(tmp_path / "a.jpg")).shape == (360, 480, 3)
    assert " - " in capsys.readouterr().out  # the loss is not averaged over training


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["{tmp}"], 1, "metrics.jsonl: not found; wanted the folder of a training run"),
        (["{run}", "--metric", "mAP"], 1, "no row has val/mAP"),
        (["{run}", "--responses", "--data", "tiny-imagenet:{tmp}:val"], 1, "wnids.txt: not found"),
        (["{run}", "--responses", "--device", "cuda:77"], 2, "--device cuda:77: this machine has"),
        (["{tmp}", "--out", "{tmp}/a.txt"], 2, "a.txt: wanted a name that ends in .png or .jpg"),  # before the work
        (["{run}", "--set", "data.size=3"], 2, "--set and --data are for --responses"),
    ],
)
def test_what_cannot_be_drawn_is_one_line_and_a_code(runs, tmp_path, capsys, words, code, line):
    filled = [word.format(tmp=tmp_path, run=runs[0]) for word in words]
    assert plot("--out", tmp_path / "a.png", *filled) == code
    told = capsys.readouterr().err.splitlines()
    assert line in told[-1]
    assert not (tmp_path / "a.png").exists()


def test_the_best_of_a_metric_that_rises_is_its_highest(runs, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_bytes((runs[0] / "config.yaml").read_bytes())
    first, *_ = (json.loads(line) for line in (runs[0] / "metrics.jsonl").read_text().splitlines())
    rows = [{**first, "step": step, "epoch": float(step), "val/mAP": ap} for step, ap in enumerate((1.0, 9.0, 4.0), 1)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert plot(run, "--out", tmp_path / "a.png", "--metric", "mAP", "--json", tmp_path / "n.json") == 0
    found = json.loads((tmp_path / "n.json").read_text())["runs"]["run"]
    assert (found["validation"], found["best validation"]) == (4.0, 9.0)
