"""What the Triton kernels of RoI pool and RoI align share: a region as it lies in memory, and which touch a cell."""

# mypy: disable-error-code="no-untyped-def"
# (what a kernel takes is a tensor to its caller and a pointer, a block or a constant within)
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from resdet.ops.regions import FARTHEST

LOOKED_AT = 128  # regions at once
_FARTHEST = tl.constexpr(FARTHEST)


@triton.jit
def load_region(rois, r, images, scale):
    """Image, corners in cells, and 1 where it can be read, else 0 and image 0 and zeros: :func:`regions.in_cells`.

    A number, not a truth value: Triton's interpreter cannot spread one of those over a block.
    """
    image = tl.load(rois + r * 5)
    x1 = tl.load(rois + r * 5 + 1) * scale
    y1 = tl.load(rois + r * 5 + 2) * scale
    x2 = tl.load(rois + r * 5 + 3) * scale
    y2 = tl.load(rois + r * 5 + 4) * scale
    near = (tl.abs(x1) < _FARTHEST) & (tl.abs(y1) < _FARTHEST) & (tl.abs(x2) < _FARTHEST) & (tl.abs(y2) < _FARTHEST)
    usable = near & (image >= 0) & (image < images)  # all false for NaN
    image = tl.where(usable, image, 0.0).to(tl.int64)
    x1, y1 = tl.where(usable, x1, 0.0), tl.where(usable, y1, 0.0)
    x2, y2 = tl.where(usable, x2, 0.0), tl.where(usable, y2, 0.0)
    return image, x1, y1, x2, y2, tl.where(usable, 1, 0)


def held_in(tensor: Tensor) -> tl.dtype:
    """The type that its numbers are summed in."""
    return tl.float64 if tensor.dtype == torch.float64 else tl.float32


def as_kernels_read(rois: Tensor) -> Tensor:
    """Regions in the one form that the kernels know."""
    return rois.float().contiguous()


def channels_innermost(tensor: Tensor) -> Tensor:
    """``(N, C, H, W)`` as neighbouring threads read it: itself, or where channels lie apart a copy."""
    return tensor if tensor.stride(1) <= 1 else tensor.contiguous(memory_format=torch.channels_last)


@triton.jit
def touching(extents, begin, regions, image, y, left, cells: tl.constexpr, looked_at: tl.constexpr):
    """``(looked_at,)`` int32: 1 for each region from ``begin`` on that reads some of a stretch of cells, else 0.

    ``extents`` is ``(5, R)`` int32: of each region its image, the first row of cells that it reads and the one after
    the last, and the same for columns; one that cannot be read reads none.  So many are looked at at once: one after
    the other, most of a program's time would go into those that are elsewhere.
    """
    k = begin + tl.arange(0, looked_at)
    there = k < regions
    here = tl.load(extents + k, mask=there, other=-1) == image
    here &= (tl.load(extents + regions + k, mask=there, other=0) <= y) & (
        tl.load(extents + 2 * regions + k, mask=there, other=0) > y
    )
    here &= (tl.load(extents + 3 * regions + k, mask=there, other=0) < left + cells) & (
        tl.load(extents + 4 * regions + k, mask=there, other=0) > left
    )
    return here.to(tl.int32)


@triton.jit
def nth_of(touches, nth, begin, looked_at: tl.constexpr):
    """Number of the ``nth`` region, from 0, that :func:`touching` found, in their own order."""
    is_it = (touches > 0) & (tl.cumsum(touches, 0) == nth + 1)
    return (begin + tl.sum(tl.where(is_it, tl.arange(0, looked_at), 0))).to(tl.int64)
