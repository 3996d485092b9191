"""Copies to a device that the host does not wait for.

``torch.tensor(numbers, device="cuda")`` waits until the GPU has done all earlier work.  Meanwhile the host queues
nothing new, and then the GPU has nothing to do.  The functions here only put the copy into the GPU's queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def sent(numbers: Sequence[Any], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """``torch.tensor(numbers)`` on a device, copied without waiting for it."""
    return torch.tensor(numbers, dtype=dtype).to(device, non_blocking=True)


def repeated(numbers: Sequence[Any], counts: Sequence[int], device: torch.device, dtype: torch.dtype) -> Tensor:
    """``torch.tensor(numbers)`` on a device, row i repeated ``counts[i]`` times: values of images, one for each box."""
    rows = torch.tensor(list(numbers), dtype=dtype)  # torch.compile has no tensor of a range whose length varies
    times = torch.tensor(counts, dtype=torch.int64)
    return rows.repeat_interleave(times, 0).to(device, non_blocking=True)
