"""The training commands, killed with SIGKILL and given again: loaders and their workers, real steps, real data."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import tiny_set
import tiny_voc
import torch.utils.tensorboard  # noqa: F401  # here, once, not in every process that is killed

from resdet import cli
from resdet.engine import checkpoint

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from killing import ended, fork, identical, killed_before_touch, killed_in_checkpoint, same_run

MAINS = {task: tiny_set.main_of(f"train_{task}") for task in ("cls", "det")}
CONFIGS = {
    "cls": """
data: {size: 32, resize: 32, workers: 0}
model: {backbone: {depth: 18, width: 8}}
train: {epochs: 2, batch_size: 4, lr: 0.01, schedule: cosine, log_every: 1, ema: 0.5, save_every: 2}
""",
    "det": """
data: {shorter: 64, longer: 96, workers: 0}
model: {backbone: {depth: 18, width: 8}, rpn_channels: 16, anchor_sizes: [24, 40], pool_size: 4, min_side: 4,
        inside_anchors: false, pre_nms: 100, proposals: 30, anchors_per_image: 32, regions_per_image: 8}
train: {epochs: 2, batch_size: 2, lr: 0.01, schedule: cosine, log_every: 1, ema: 0.5, save_every: 2}
test: {shorter: 64, longer: 96, pre_nms: 100, proposals: 10, min_side: 4, batch_size: 2}
""",
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """What begins a run of a task in a folder, or goes on with it: the words after ``train_<task>.py``."""
    folder = tmp_path_factory.mktemp("sets")
    named = {
        "cls": tiny_set.specs(tiny_set.draw(folder / "cls")),
        "det": tiny_voc.specs(tiny_voc.draw(folder / "det")),
    }
    for task, text in CONFIGS.items():
        (folder / f"{task}.yaml").write_text(text)

    def words(task, out, *more):
        every = [folder / f"{task}.yaml", *named[task], "--device", "cpu", "--out", out, "--resume", *more]
        return [str(word) for word in every]

    return words


@pytest.fixture(scope="module")
def whole(begun, tmp_path_factory):
    """By task, a run that nothing happened to, without workers."""
    folder = tmp_path_factory.mktemp("whole")
    for task in CONFIGS:
        assert ended(fork(partial(train, task, begun(task, folder / task))))
    return folder


def train(task, words):
    return cli.run(MAINS[task], words)


def rows(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_s"} for line in lines]


def same(out, whole):
    """All that was learnt and told is the same; the settings too, but for the number of workers."""
    assert rows(out) == rows(whole)
    for name in ("last.pt", "best.pt"):
        mine, other = (checkpoint.load(folder / name) for folder in (out, whole))
        assert mine.step == other.step
        for part in ("model", "resume", "metrics"):
            identical(getattr(mine, part), getattr(other, part), f"{name}: {part}")


MORE_THAN_CORES = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@MORE_THAN_CORES
@pytest.mark.parametrize(("task", "workers"), [("cls", 1), ("cls", 4), ("det", 2)])
def test_a_seed_gives_the_same_bits_with_any_number_of_workers(begun, whole, tmp_path, task, workers):
    assert ended(fork(partial(train, task, begun(task, tmp_path, f"data.workers={workers}"))))
    same(tmp_path, whole / task)


@MORE_THAN_CORES
@pytest.mark.parametrize(("task", "workers"), [("cls", 2), ("det", 1)])
def test_killed_between_and_within_saves_a_run_ends_as_if_it_had_not_been(begun, whole, tmp_path, task, workers):
    work = partial(train, task, begun(task, tmp_path, f"data.workers={workers}"))
    killed_in_checkpoint(2, 0.7, work)  # best.pt, at the end of the first pass
    assert checkpoint.load(tmp_path / "last.pt").step == 2
    assert not killed_before_touch(24, tmp_path, work)  # in the middle of the second, in or after a save
    assert checkpoint.load(tmp_path / "last.pt").step in (3, 4)
    assert ended(fork(work))
    same(tmp_path, whole / task)


@MORE_THAN_CORES
@pytest.mark.slow
@pytest.mark.parametrize(("task", "kills"), [("cls", 20), ("det", 10)])
def test_the_command_killed_at_random_moments_and_within_saves(begun, tmp_path, task, kills):
    """A process of its own each time, as a person starts it, with two workers; every second kill finds it saving."""
    longer = ("train.epochs=20", "train.save_every=1", "data.workers=2")
    assert ended(fork(partial(train, task, begun(task, tmp_path / "whole", *longer))))
    moments, done, saving, runs = random.Random(kills), 0, 0, 0
    while done < kills:
        out = tmp_path / str(runs)
        if not killed_at_work(task, begun(task, out, *longer), out, moments.random(), saving=done % 2 == 1):
            same_run(out, tmp_path / "whole")
            runs += 1
            continue
        done += 1
        saving += any(out.glob("*.part"))
    assert saving > kills / 4
    assert ended(fork(partial(train, task, begun(task, out, *longer))))
    same_run(out, tmp_path / "whole")
    assert rows(out) == rows(tmp_path / "whole")
    print(f"{task}: {done} kills, {saving} of them while a checkpoint was written")


def killed_at_work(task, words, out, seconds, *, saving):
    """Start the command, and kill it so long after the first step that it tells; whether it was not faster.

    Args:
        saving: then wait for the next checkpoint that it begins to write.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    tool = str(tiny_set.TOOLS / f"train_{task}.py")
    file, part = out / "metrics.jsonl", out / "last.pt.part"
    before = file.stat().st_mtime_ns if file.exists() else 0
    with subprocess.Popen([sys.executable, tool, *words], stderr=subprocess.DEVNULL, env=environment) as process:
        while process.poll() is None and not (file.exists() and file.stat().st_mtime_ns != before):
            time.sleep(0.01)
        time.sleep(seconds)
        while saving and process.poll() is None and not part.exists():
            pass
        process.send_signal(signal.SIGKILL)
    return process.returncode != 0
