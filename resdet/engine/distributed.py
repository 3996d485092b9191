"""One process a device: who am I among how many (``torchrun`` sets it), and on which device."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import distributed, nn


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


def start(device: str = "") -> Process:
    """Join the run that ``torchrun`` started, or be alone.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``...; empty: CUDA when there is one, this process's own.
    """
    rank, processes = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local = int(os.environ.get("LOCAL_RANK", 0))
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda":
        name = f"cuda:{local}"
        torch.cuda.set_device(name)
    if processes > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if name.startswith("cuda") else "gloo")
    return Process(rank, processes, torch.device(name))


def wrap(model: nn.Module, me: Process) -> nn.Module:
    """The model itself, or with gradients averaged over the processes when there are several."""
    if me.processes == 1:
        return model
    return nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)


def wait(me: Process) -> None:
    """Until every process is here."""
    if me.processes > 1:
        distributed.barrier()
