"""One process a device: who am I among how many (``torchrun`` sets it), and on which device."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed, nn

from resdet.errors import UsageError

T = TypeVar("T")
LONGEST_WAIT = timedelta(hours=6)  # the others wait while the first evaluates; torch gives up after 10 minutes


@dataclass(frozen=True)
class Process:
    """This process among those of the run."""

    rank: int
    processes: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this one writes files and reports."""
        return self.rank == 0

    def alone(self) -> Process:
        """The same, as if there were no others: for work that it does by itself."""
        return replace(self, rank=0, processes=1)


def start(device: str = "") -> Process:
    """Join the run that ``torchrun`` started, or be alone.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``...; empty: CUDA when there is one, this process's own.

    Raises:
        UsageError: no such device.
    """
    rank, processes = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    mine = find_device(device, int(os.environ.get("LOCAL_RANK", 0)))
    if mine.type == "cuda":
        torch.cuda.set_device(mine)
    if processes > 1 and not distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if mine.type == "cuda" else "gloo"
        _join(backend)
    return Process(rank, processes, mine)


def _join(backend: str) -> None:
    """Join the process group.

    torchrun keeps one store of the processes' addresses through its restarts: a process that starts early would find
    the addresses of dead ones in it.  So each attempt has a part of the store to itself.  That needs the same count of
    restarts in all processes, which only those of one machine have.
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT")
    if attempt is None or os.environ.get("LOCAL_WORLD_SIZE") != os.environ["WORLD_SIZE"]:
        distributed.init_process_group(backend, timeout=LONGEST_WAIT)
        return
    store, rank, processes = next(distributed.rendezvous("env://", timeout=LONGEST_WAIT))
    own = distributed.PrefixStore(f"attempt-{attempt}", store)
    distributed.init_process_group(backend, store=own, rank=rank, world_size=processes, timeout=LONGEST_WAIT)


def find_device(name: str, local_rank: int = 0) -> torch.device:
    """The device that a user names; ``"cuda"`` and an empty name: this process's own.

    Raises:
        UsageError: no device is called that, or this machine has none of it.
    """
    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    wanted = name or ("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda":
        wanted = f"cuda:{local_rank}"
    if wanted not in there:
        raise UsageError(f"--device {name or wanted}: this machine has {', '.join(there)}")
    return torch.device(wanted)


def wrap(model: nn.Module, me: Process) -> nn.Module:
    """The model, in DistributedDataParallel where there are several processes.

    Parameters that do not learn must have ``requires_grad=False`` by now: all others' gradients are waited for.
    """
    if me.processes == 1:
        return model
    # torch warns of 1x1 convolutions' weights, whose strides differ in dimensions of size 1 alone, which costs nothing
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
    return nn.parallel.DistributedDataParallel(model)


def unwrap(model: nn.Module) -> nn.Module:
    """The model that :func:`wrap` was given."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def averaging(model: nn.Module, *, now: bool) -> AbstractContextManager[None]:
    """A context for forward and backward passes whose gradients are averaged over the processes now, or later."""
    is_shared = isinstance(model, nn.parallel.DistributedDataParallel)
    return model.no_sync() if is_shared and not now else nullcontext()  # type: ignore[operator]


def processes_of(model: nn.Module) -> int:
    """Over how many processes the gradients of a model that :func:`wrap` gave are averaged."""
    return distributed.get_world_size() if isinstance(model, nn.parallel.DistributedDataParallel) else 1


def wait(me: Process) -> None:
    """Return when every process has called this."""
    if me.processes > 1:
        with losing_others():
            distributed.barrier()


def mean(value: float, me: Process) -> float:
    """The mean of every process's value, on all of them."""
    if me.processes == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=me.device)
    with losing_others():
        distributed.all_reduce(total)
        return total.item() / me.processes


def gather(mine: T, me: Process) -> list[T]:
    """Every process's object, by rank, on all of them; objects may be of different sizes."""
    if me.processes == 1:
        return [mine]
    everyone: list[T] = [mine] * me.processes
    with losing_others():
        distributed.all_gather_object(everyone, mine)
    return everyone


@contextmanager
def losing_others() -> Iterator[None]:
    """A context for collectives: where another process is gone, one line says so; that process said why.

    Raises:
        ConnectionError: another process has failed or was killed.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or re.search("gloo|NCCL", str(error)):
            raise ConnectionError("another process of this run has failed or was killed: see what it said") from error
        raise


def from_main(numbers: list[float], me: Process) -> list[float]:
    """The first process's numbers, on all of them; each passes as many."""
    if me.processes == 1:
        return numbers
    sent = torch.tensor(numbers, dtype=torch.float64, device=me.device)
    with losing_others():
        distributed.broadcast(sent, src=0)
        return sent.tolist()
