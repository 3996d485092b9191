"""A run that was killed with SIGKILL, wherever it was, and resumed is the run that was not."""

import json
import random
import time
from dataclasses import replace
from functools import partial

import pytest
import torch.utils.tensorboard  # noqa: F401  # here, once, not in every process that is killed
from killing import ended, fork, killed_after, killed_before_touch, killed_in_checkpoint, same_run
from tiny_training import ALONE, HOW, TinyNet, rows, run_of

from resdet.engine import checkpoint
from resdet.engine.fit import fit

EACH = replace(
    HOW, save_every=3
)  # saves at 3, 4, 6, 8, 9 and 12: within epochs, at their ends, alone and after best.pt
SAVE = range(32, 43)  # touches of the folder at step 8: best.pt, a row put on the disk, last.pt and before-last.pt


def train(out, how=EACH):
    """Begin the run in ``out``, or go on with it."""
    model = TinyNet(seed=0 if not (out / "last.pt").exists() else 9, dropout=0.3, measures=True)
    fit(run_of(out, model, how), model, ALONE, resume=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole")
    train(out)
    return out


def check(out, whole):
    """Resume what was killed in ``out``: it ends as ``whole`` did, every step told once."""
    assert ended(fork(partial(train, out)))
    same_run(out, whole)
    assert rows(out) == rows(whole)
    assert [row["step"] for row in rows(out) if "loss" in row] == list(range(1, 13))


@pytest.mark.parametrize("touch", SAVE)
def test_killed_between_two_touches_of_the_disk(tmp_path, whole, touch):
    assert not killed_before_touch(touch, tmp_path, partial(train, tmp_path))
    check(tmp_path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("save_every", [0, 1, 3])
def test_killed_before_every_single_touch_of_the_disk(tmp_path, save_every):
    how = replace(HOW, save_every=save_every)
    train(tmp_path / "whole", how)
    touch, done = 0, False
    while not done:
        touch += 1
        out = tmp_path / str(touch)
        done = killed_before_touch(touch, out, partial(train, out, how))
        assert ended(fork(partial(train, out, how)))
        same_run(out, tmp_path / "whole")
        assert rows(out) == rows(tmp_path / "whole")
    assert touch > 40


@pytest.mark.parametrize("number", [1, 5, 8])
@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_killed_while_a_checkpoint_is_written(tmp_path, whole, number, share):
    killed_in_checkpoint(number, share, partial(train, tmp_path))
    assert len([*tmp_path.glob("*.part")]) == 1, "it was killed elsewhere"
    check(tmp_path, whole)


def test_killed_by_the_clock_again_and_again(tmp_path, whole):
    began = time.perf_counter()
    assert ended(fork(partial(train, tmp_path / "timed")))
    longest = (time.perf_counter() - began) / 2
    moments, kills, runs = random.Random(0), 0, 0
    while kills < 5:
        out = tmp_path / str(runs)
        if killed_after(moments.random() * longest, partial(train, out)):  # it was faster
            runs, longest = runs + 1, longest / 2
            continue
        kills += 1
    check(out, whole)


def test_killed_before_anything_was_saved_it_begins_again(tmp_path, whole):
    assert not killed_before_touch(4, tmp_path, partial(train, tmp_path))
    assert not [*tmp_path.glob("*.pt")]
    check(tmp_path, whole)


def test_a_row_that_was_cut_in_the_middle_is_written_again_and_none_is_lost(tmp_path, whole):
    assert not killed_before_touch(SAVE[0], tmp_path, partial(train, tmp_path))
    file = tmp_path / "metrics.jsonl"
    step = checkpoint.load(tmp_path / "last.pt").step
    assert json.loads(file.read_text().splitlines()[-1])["step"] > step
    file.write_text(file.read_text()[:-9])
    check(tmp_path, whole)
