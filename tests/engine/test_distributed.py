"""Several processes train one model: on the CPU, over gloo."""

import os
from dataclasses import replace

import pytest
import torch
from several import together
from tiny_training import HOW, TinyNet, run_of, with_course

from resdet.engine import checkpoint, distributed
from resdet.engine.distributed import Process, find_device, start
from resdet.engine.fit import fit
from resdet.errors import UsageError
from resdet.structures import ImageBatch

FROZEN = replace(HOW, batch_norm="frozen")  # batch norm would see half the batch
FOLLOWING = replace(FROZEN, schedule="plateau", patience=1, threshold=9.0, warmup_lr=0.02, warmup_until_error=98.0)


class Unused(TinyNet):
    """``second`` does not learn, as ``fc`` of a localizer whose classifier does not."""

    def __init__(self, **how):
        super().__init__(**how)
        self.second.requires_grad_(False)


def shares(run, rank):
    """The run with every batch's images dealt out to two processes."""

    def part(batch):
        return ImageBatch(batch.images[rank::2], batch.targets[rank::2], batch.indices[rank::2])

    return with_course(run, batches=lambda start: [part(batch) for batch in run.course.batches(start)])


def train_as(rank, out):
    me = start("cpu")
    assert (me.rank, me.processes, me.is_main) == (rank, 2, rank == 0)
    for name, how in (("trained", HOW), ("frozen", FROZEN), ("following", FOLLOWING)):
        model = Unused(seed=rank, measures=True)  # the first process's weights are the ones that count
        for steps, resume in ((8, False), (12, True)):
            fit(shares(run_of(out / name, model, how, steps=steps), rank), model, me, resume=resume)
        torch.save(model.state_dict(), out / f"{name}{rank}.pt")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Where two processes have trained, stopped, resumed and ended."""
    folder = tmp_path_factory.mktemp("two")
    together(2, lambda rank: train_as(rank, folder))
    return folder


def test_both_end_with_the_same_weights_and_one_of_them_saves(out):
    one, other = (torch.load(out / f"trained{rank}.pt") for rank in range(2))
    learnt = [name for name in one if not name.startswith("bn.running")]  # each has seen its own images since
    assert all(torch.equal(one[name], other[name]) for name in learnt)
    assert not torch.equal(one["fc.weight"], Unused(seed=0).fc.weight)
    assert torch.equal(one["second.weight"], Unused(seed=0).second.weight)
    last = checkpoint.load(out / "trained" / "last.pt")
    assert last.step == 12
    assert all(torch.equal(last.resume["model"][name], one[name]) for name in one)


def test_two_processes_give_the_weights_and_the_average_of_one(out, tmp_path):
    model = Unused(seed=0)
    fit(run_of(tmp_path, model, FROZEN), model, Process(0, 1, torch.device("cpu")), resume=False)
    together = torch.load(out / "frozen0.pt")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(together[name], value)
    expected, found = (checkpoint.load(folder / "last.pt").model for folder in (tmp_path, out / "frozen"))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_a_schedule_that_follows_the_training_is_the_same_in_every_process_and_that_of_one(out, tmp_path):
    model = Unused(seed=0, measures=True)
    fit(run_of(tmp_path, model, FOLLOWING), model, Process(0, 1, torch.device("cpu")), resume=False)
    one, other = (torch.load(out / f"following{rank}.pt") for rank in range(2))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(one[name], value)
        assert torch.equal(one[name], other[name])
    expected, found = (checkpoint.load(folder / "last.pt").resume["rate"] for folder in (tmp_path, out / "following"))
    assert found == pytest.approx(expected)
    assert (found[0], found[4]) == (0, 2)  # warmed up, and dropped twice


ASKS = {  # whatever asks the others for something
    "wait": distributed.wait,
    "mean": lambda me: distributed.mean(1.0, me),
    "gather": lambda me: distributed.gather("mine", me),
    "from_main": lambda me: distributed.from_main([1.0], me),
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())
def test_a_process_that_is_gone_is_told_in_a_line(ask):
    """The first of two ends; the second one asks for what it will never get."""

    def work(rank):
        me = start("cpu")
        distributed.wait(me)
        if not me.is_main:
            with pytest.raises(ConnectionError, match="another process of this run has failed or was killed"):
                ask(me)
        os._exit(0)  # without a word to the other

    together(2, work)


def test_alone_nothing_is_wrapped_or_waited_for():
    me = Process(0, 1, torch.device("cpu"))
    model = TinyNet()
    assert distributed.wrap(model, me) is model
    distributed.wait(me)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cpu:1", "meta", "cuda:-1"])
def test_a_device_that_is_not_there_is_told_with_those_that_are(name):
    with pytest.raises(UsageError, match=rf"--device {name}: this machine has cpu"):
        find_device(name)


def test_without_cuda_the_cpu_is_taken_and_cuda_is_told_to_be_missing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert find_device("") == torch.device("cpu")
    with pytest.raises(UsageError, match="--device cuda: this machine has cpu"):
        find_device("cuda")


def test_each_process_takes_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [find_device(name, 1) for name in ("", "cuda", "cuda:0", "cpu")] == [
        torch.device(name) for name in ("cuda:1", "cuda:1", "cuda:0", "cpu")
    ]
    with pytest.raises(UsageError, match="this machine has cpu, cuda:0, cuda:1"):
        find_device("", 2)
