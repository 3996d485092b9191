"""The last two checkpoints: a damaged one is passed over, and a full disk leaves those that are there."""

import os
import resource
import shutil
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch.utils.tensorboard  # here, once, not in every process that fills its disk
from killing import ended, fork, same_run
from tiny_training import ALONE, HOW, Cut, TinyNet, run_of

from resdet import cli
from resdet.engine import checkpoint
from resdet.engine.fit import fit
from resdet.engine.last_checkpoints import keep
from resdet.errors import InputError, UsageError


def train(out, *, report=lambda step, row: None, tell=None, resume=True):
    model = TinyNet(dropout=0.3)
    run = replace(run_of(out, model, HOW, report=report), tell=tell or pytest.fail)
    fit(run, model, ALONE, resume=resume)


def until(step, row, *, end):
    if step == end:
        raise Cut


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    train(out)
    return out


@pytest.fixture
def cut(tmp_path):
    """A run that was cut off at step 11; its checkpoints are of steps 8 and 4."""
    with pytest.raises(Cut):
        train(tmp_path, report=partial(until, end=11))
    assert [checkpoint.load(tmp_path / name).step for name in ("last.pt", "before-last.pt")] == [8, 4]
    return tmp_path


def damage(file):
    content = bytearray(file.read_bytes())
    at = content.find(checkpoint.load(file).model["fc.weight"].numpy().tobytes())
    content[at + 1] ^= 1
    file.unlink()  # its other name, if it has one, stays what it was
    file.write_bytes(content)


def test_a_damaged_last_checkpoint_is_told_in_a_line_and_the_one_before_is_gone_on_from(cut, whole):
    damage(cut / "last.pt")
    told = []
    train(cut, tell=told.append)
    assert len(told) == 1
    assert told[0].startswith(f"{cut / 'last.pt'}: damaged")
    assert told[0].endswith("going on from the one before it, before-last.pt of step 4")
    same_run(cut, whole)
    assert checkpoint.load(cut / "before-last.pt").step == 8


def test_weights_alone_in_the_last_ones_place_are_told_in_a_line_and_the_one_before_is_gone_on_from(cut, whole):
    shutil.copy(cut / "best.pt", cut / "last.pt")
    told = []
    train(cut, tell=told.append)
    assert len(told) == 1
    assert told[0].startswith(f"{cut / 'last.pt'}: has weights, but nothing of the run")
    same_run(cut, whole)


def test_weights_alone_are_nothing_to_go_on_from(cut):
    shutil.copy(cut / "best.pt", cut / "last.pt")
    (cut / "before-last.pt").unlink()
    with pytest.raises(InputError, match=r"/last\.pt: has weights, but nothing of the run that could be gone on with$"):
        train(cut)


def test_a_damaged_checkpoint_does_not_take_the_place_of_a_whole_one(cut):
    damage(cut / "last.pt")
    with pytest.raises(Cut):
        train(cut, tell=lambda line: None, report=partial(until, end=9))
    assert [checkpoint.load(cut / name).step for name in ("last.pt", "before-last.pt")] == [8, 4]


def test_without_the_last_the_one_before_is_the_run(cut, whole):
    """Where a disk knows no second name for a file, a kill can leave it so."""
    (cut / "last.pt").unlink()
    with pytest.raises(UsageError, match="holds a run already"):
        train(cut, resume=False)
    train(cut)
    same_run(cut, whole)


def test_where_a_disk_knows_no_second_name_the_two_are_kept_all_the_same(tmp_path, whole, monkeypatch):
    def refuse(*names):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    train(tmp_path)
    same_run(tmp_path, whole)
    assert checkpoint.load(tmp_path / "before-last.pt").step == 8


def test_two_names_of_one_checkpoint_that_a_killed_run_left_become_two_checkpoints(cut):
    """It was killed between the two namings: the last one has both names, and a third is in the way."""
    last, before = cut / "last.pt", cut / "before-last.pt"
    before.unlink()
    os.link(last, before)
    os.link(last, cut / "before-last.pt.part")
    keep(cut, replace(checkpoint.load(last), step=12))
    assert [checkpoint.load(file).step for file in (last, before)] == [12, 8]
    assert not [*cut.glob("*.part")]


def test_two_damaged_ones_are_named_and_left_as_they_are(cut):
    for name in ("last.pt", "before-last.pt"):
        damage(cut / name)
    before = {file.name: file.read_bytes() for file in cut.iterdir()}
    with pytest.raises(InputError, match=r"/last\.pt: damaged.*; and .*before-last\.pt: damaged"):
        train(cut)
    assert {file.name: file.read_bytes() for file in cut.iterdir()} == before


@pytest.mark.parametrize("room", [3000, 100], ids=["no checkpoint fits", "no row fits"])
def test_a_full_disk_stops_the_run_with_one_line_and_leaves_the_last_good_checkpoint(tmp_path, whole, room):
    out, told = tmp_path / "out", tmp_path / "told"

    def fill(step, row):
        if step == 6:  # from here on, no file can have more bytes
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    def begin(words):
        try:
            train(out, report=fill)
        finally:  # what is told goes into a file too
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def work():
        sys.argv = ["train.py"]
        with told.open("w") as sys.stderr:
            return cli.run(begin) - cli.FAILED

    assert ended(fork(work))
    (line,) = told.read_text().splitlines()
    name = "best.pt" if room == 3000 else "metrics.jsonl"
    assert line.startswith(f"train.py: {out / name}: File too large")
    assert checkpoint.load(out / "last.pt").step == 4
    assert not [*out.glob("*.part")]
    train(out)  # there is room again
    same_run(out, whole)


def test_what_does_not_fit_leaves_what_was_there(tmp_path):
    file = tmp_path / "x.pt"
    small, large = (checkpoint.Checkpoint("cls", {}, (), (), n, {"w": torch.zeros(10**n)}) for n in (2, 5))
    checkpoint.save(file, small)
    before, limits = file.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match="what was saved before is as it was") as caught:
            checkpoint.save(file, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(file)
    assert (file.read_bytes(), [*tmp_path.iterdir()]) == (before, [file])
