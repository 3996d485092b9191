"""In which numbers a network computes: float32, or by autocast mostly in numbers of half as many bits."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Matrix products in ``precision``; losses and boxes stay float32."""
    return torch.autocast(device.type, DTYPES.get(precision, torch.bfloat16), enabled=precision != "fp32")


def precision_on(device: torch.device, trained: str) -> str:
    """The precision that weights are run in: their training's, but fp32 in place of fp16 on a CPU, which has none."""
    return "fp32" if trained == "fp16" and device.type == "cpu" else trained


def without_autocast(like: Tensor) -> AbstractContextManager[object]:
    """A context without autocast on the device of ``like``.

    For the last layers, whose scores are ranked: with the 8 significant bits of bfloat16, scores tie by the hundred.
    """
    kind = like.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)
