"""Where RoI align samples, along one axis: as a matrix from cells to bins.

Bilinear interpolation is a product of two linear ones and a bin's samples form a grid, so a region is
``bins = Wy @ map @ Wx.T`` with two small matrices that this file makes, most of whose numbers are 0.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from resdet.ops.regions import in_cells


class Rule(NamedTuple):
    """What :func:`resdet.ops.roi_align` is asked for, beside a map and regions: each is said there."""

    size: int
    stride: float
    sampling: int
    aligned: bool
    step: int = 1

    @property
    def bins(self) -> int:
        """How many are computed along each side of a region."""
        return -(-self.size // self.step)


def axis_weights(rois: Tensor, shape: tuple[int, int, int], rule: Rule) -> tuple[Tensor, Tensor, Tensor]:
    """Both matrices of every region.

    Args:
        rois: ``(R, 5)`` in input pixels.
        shape: images of the batch, rows and columns of the map.
        rule: its ``step`` is not looked at: the matrices are of every bin.

    Returns:
        the image of each region, ``(R,)`` int64; ``Wy`` ``(R, size, H)`` and ``Wx`` ``(R, size, W)``, zeros
        for a region that cannot be read.
    """
    images, height, width = shape
    image, corners, usable = in_cells(rois, images, rule.stride)
    start = corners[:, :2] - (0.5 if rule.aligned else 0.0)  # (R, 2), x and y
    length = corners[:, 2:] - corners[:, :2]
    if not rule.aligned:
        length = length.clamp(min=1)
    y, x = (
        _one_axis(start[:, a], length[:, a], usable, rule.size, extent, rule.sampling)
        for a, extent in ((1, height), (0, width))
    )
    return image, y, x


def _one_axis(start: Tensor, length: Tensor, usable: Tensor, size: int, extent: int, sampling: int) -> Tensor:
    """``(R, size, extent)``: how much each cell adds to the mean of each bin."""
    bin_length = length / size
    grid = torch.full_like(length, sampling) if sampling else bin_length.ceil().clamp(min=0)  # samples a bin
    sample, exists = _near_the_map(start, bin_length, grid, size, extent, sampling)  # (R, S)
    grid = grid.clamp(min=1)[:, None].long()
    bin_of, nth = sample // grid, sample % grid
    middle = nth.to(start.dtype) + 0.5  # by itself, torch.set_default_dtype would choose the type
    at = start[:, None] + bin_of * bin_length[:, None] + middle * bin_length[:, None] / grid
    share = (exists & usable[:, None] & (at >= -1) & (at <= extent)) / grid.to(at.dtype)
    at = at.clamp(0, extent - 1)  # within a cell of the map: as if on its edge
    low = at.floor()
    high_share = share * (at - low)
    low = low.long()
    first = bin_of.clamp(max=size - 1) * extent
    weights = start.new_zeros(len(start), size * extent)
    weights.scatter_add_(1, first + low, share - high_share)
    weights.scatter_add_(1, first + (low + 1).clamp(max=extent - 1), high_share)
    return weights.view(-1, size, extent)


def _near_the_map(
    start: Tensor, bin_length: Tensor, grid: Tensor, size: int, extent: int, sampling: int
) -> tuple[Tensor, Tensor]:
    """Numbers ``(R, S)`` of samples among a region's ``size * grid``, and which of them exist.

    All of them, or where a huge region has more: those that can lie on the map.  Adaptive samples are more than
    half a cell apart in bins that are longer than one, so that there are about two a cell at most.
    """
    count = size * grid
    most = size * sampling if sampling else max(size, 2 * extent + 8)
    room = min(most, int(count.max())) if len(count) else 0
    step = bin_length / grid.clamp(min=1)
    begin = ((-1 - start) / torch.where(count > room, step, 1)).floor() - 2
    begin = torch.where(count > room, begin.clamp(min=0), 0)
    sample = (begin[:, None] + torch.arange(room, device=start.device)).long()
    return sample, sample < count[:, None]
