"""What RoI pool and RoI align share: regions as their callers give them, in cells of the map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

FARTHEST = 2.0**22  # cells from the map's corner; float32 tells half cells apart up to here


def check(features: Tensor, rois: Tensor, size: int, stride: float) -> None:
    """Raises ValueError that says what was wanted and what was there."""
    if features.ndim != 4 or not features.is_floating_point():
        raise ValueError(f"features must be (B, C, H, W) of floats, got {features.dtype} {tuple(features.shape)}")
    if 0 in features.shape[2:]:
        raise ValueError(f"features must have a cell at least, got {tuple(features.shape)}")
    if rois.ndim != 2 or rois.shape[1] != 5 or not rois.is_floating_point():
        raise ValueError(
            f"rois must be (R, 5) float rows of (image, x1, y1, x2, y2), got {rois.dtype} {tuple(rois.shape)}"
        )
    if rois.device != features.device:
        raise ValueError(f"features are on {features.device}, rois on {rois.device}")
    if size < 1:
        raise ValueError(f"size must be 1 or more bins a side, got {size}")
    if not 0 < stride < float("inf"):
        raise ValueError(f"stride must be input pixels a cell, more than 0, got {stride}")


def in_cells(rois: Tensor, images: int, stride: float) -> tuple[Tensor, Tensor, Tensor]:
    """Regions on the map.

    Args:
        rois: ``(R, 5)`` rows of image, x1, y1, x2, y2 in input pixels; half precision is computed in float32.
        images: of the batch.
        stride: input pixels a cell.

    Returns:
        the image of each, ``(R,)`` int64; corners ``(R, 4)`` in cells; and ``(R,)`` bool: which can be read.  One
        that cannot (NaN, infinite or ``FARTHEST`` corners, an image that is not in the batch) is of image 0 and
        all zeros.
    """
    rois = rois if rois.dtype == torch.float64 else rois.float()
    corners = rois[:, 1:] * (1 / stride)
    usable = (corners.abs() < FARTHEST).all(1)  # false for NaN
    usable &= (rois[:, 0] >= 0) & (rois[:, 0] < images)
    return torch.where(usable, rois[:, 0], 0).long(), torch.where(usable[:, None], corners, 0), usable


def accumulator(features: Tensor) -> torch.dtype:
    """The type that sums are held in: float32, or float64 for float64 features."""
    return torch.float64 if features.dtype == torch.float64 else torch.float32


def is_channels_last(features: Tensor) -> bool:
    """Whether channels lie innermost; where both orders are the same (one channel, one cell) they do not."""
    return features.is_contiguous(memory_format=torch.channels_last) and not features.is_contiguous()


def empty_pooled(features: Tensor, rois: Tensor, size: int, dtype: torch.dtype | None = None) -> Tensor:
    """``(R, C, size, size)`` to be written to, of the features' device, memory format and, if not given, type."""
    memory = torch.channels_last if is_channels_last(features) else torch.contiguous_format
    shape = (rois.shape[0], features.shape[1], size, size)
    return torch.empty(shape, dtype=dtype or features.dtype, device=features.device, memory_format=memory)


def write_pooled(pooled: Tensor, bins: Tensor) -> None:
    """``bins`` ``(size, size, C)`` into ``(C, size, size)``, of either memory format and any type."""
    if pooled.is_contiguous():  # a transposed matrix is what torch copies in blocks: 5 times as fast as permuted axes
        pooled.flatten(1).copy_(bins.flatten(0, 1).to(pooled.dtype).T)
    else:
        pooled.permute(1, 2, 0).copy_(bins)


def as_pooled(parts: Iterable[Tensor], features: Tensor, regions: int, size: int) -> Tensor:
    """Bins ``(size * size of some regions, C)``, part after part, as operators return them: ``(R, C, size, size)``."""
    channels, count = features.shape[1], regions * size * size
    rows, begin = features.new_empty((0, channels)), 0
    for part in parts:
        if len(part) == count and part.dtype == features.dtype:
            rows = part
            break
        if not begin:
            rows = features.new_empty((count, channels))
        rows[begin : begin + len(part)] = part
        begin += len(part)
    if is_channels_last(features):
        return of_rows(rows, size, size)
    pooled = features.new_empty((regions, channels, size, size))
    for into, bins in zip(pooled, rows.unflatten(0, (-1, size, size)), strict=True):
        write_pooled(into, bins)
    return pooled


def of_rows(rows: Tensor, height: int, width: int) -> Tensor:
    """Rows ``(B * H * W, C)`` as ``(B, C, H, W)``, channels_last, and no view: operators return none."""
    rows, (count, channels) = rows.contiguous(), rows.shape
    shape = count // (height * width), channels, height, width
    strides = height * width * channels, 1, width * channels, channels
    return rows.new_empty(0).set_(rows.untyped_storage(), rows.storage_offset(), shape, strides)


def empty_map(like: Tensor, shape: Sequence[int], channels_last: bool, dtype: torch.dtype | None = None) -> Tensor:
    """``(B, C, H, W)`` to be written to, of the device of ``like`` and, if not given, its type."""
    memory = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty(tuple(shape), dtype=dtype or like.dtype, device=like.device, memory_format=memory)


def as_map(total: Tensor, dtype: torch.dtype, channels_last: bool) -> Tensor:
    """A sum ``(B, C, H, W)`` with channels innermost, as an operator returns it: itself where it is that already."""
    if channels_last and total.dtype == dtype:
        return total
    return empty_map(total, total.shape, channels_last, dtype).copy_(total)
