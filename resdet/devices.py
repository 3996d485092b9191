"""What devices are particular about: how numbers of the host come there, and what they compute in.

``torch.tensor(numbers, device="cuda")`` returns when the device has done all that was asked of it before: the host
cannot ask for more meanwhile, and the device then has nothing to do.  Here the copy only takes its place in the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def sent(numbers: Sequence[Any], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """``torch.tensor(numbers)`` on a device."""
    return torch.tensor(numbers, dtype=dtype).to(device, non_blocking=True)


def repeated(numbers: Sequence[Any], counts: Sequence[int], device: torch.device, dtype: torch.dtype) -> Tensor:
    """``torch.tensor(numbers)`` on a device, each row as often as its count says: what N boxes have of their images."""
    rows, times = torch.tensor(numbers, dtype=dtype), torch.tensor(counts, dtype=torch.int64)
    return rows.repeat_interleave(times, 0).to(device, non_blocking=True)


def all_digits(like: Tensor) -> AbstractContextManager[object]:
    """Within it autocast shortens nothing on that tensor's device.

    For the last layers, whose answers are ranked: numbers of 8 bits tie by the hundred.
    """
    kind = like.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)
