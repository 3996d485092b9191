"""When and where the Triton kernels run, and when torch's operators are taken around them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor


def runs_triton(tensor: Tensor) -> bool:
    """Whether it lies where Triton's kernels run; without Triton (as on Windows) the torch paths serve CUDA too."""
    return tensor.is_cuda and _is_installed()


@cache
def _is_installed() -> bool:
    return find_spec("triton") is not None


def device_of(tensor: Tensor) -> AbstractContextManager[object]:
    """Kernels launched within run on that tensor's GPU; Triton itself asks only which one is current."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()  # the tests interpret them on the CPU


def power_of_two(number: int) -> int:
    """The least that is not below ``number``, which is 1 or more: the sizes that a kernel's blocks come in."""
    return 1 << (number - 1).bit_length()


def blocks_of(number: int, size: int) -> int:
    """How many blocks of ``size`` cover ``number``; triton.cdiv is a kernel's function, and slow on the host."""
    return -(-number // size)
