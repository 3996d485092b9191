"""RoI pool region by region; runs on any device that torch does.

Where the bins of a region are those of PyTorch's adaptive max pooling of the same cells, as they nearly always are,
that does it: with channels innermost it runs on vector instructions.  Its gradient needs to know which cell was the
maximum; that is found again, from a part of the map that lies in cache, rather than kept, 8 bytes an output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from resdet.ops.regions import accumulator, as_map, empty_map, empty_pooled, write_pooled
from resdet.ops.roi_pool.bins import bin_edges


class Pooled(NamedTuple):
    """One region, its extent in cells taken as far as one row and column past the map."""

    number: int
    image: int
    y: slice
    x: slice
    maxima: Tensor  # (1, C, size, size), 0 where there is no cell
    cells: Tensor  # (1, C, size, size) int64: the place of each maximum in the extent, in reading order
    empty: Tensor | None  # (size, size) bool: bins without a cell; None: there are none


def forward(features: Tensor, rois: Tensor, size: int, stride: float) -> Tensor:
    """See :func:`resdet.ops.roi_pool`."""
    pooled = empty_pooled(features, rois, size)
    without_cells = set(range(len(rois)))
    for region in _regions(features, rois, size, stride):
        write_pooled(pooled[region.number], region.maxima[0].permute(1, 2, 0))
        without_cells.remove(region.number)
    pooled[sorted(without_cells)] = 0
    return pooled


def backward(gradient: Tensor, features: Tensor, rois: Tensor, stride: float, channels_last: bool) -> Tensor:
    """Gradient of the features from that of the bins, ``(R, C, size, size)``: regions add up in their order."""
    channels = features.shape[1]
    total = empty_map(gradient, features.shape, True, accumulator(features)).zero_()
    bins = total.new_empty(*gradient.shape[2:], channels)
    for region in _regions(features, rois, gradient.shape[2], stride):
        bins.copy_(gradient[region.number].permute(1, 2, 0))
        if region.empty is not None:
            bins[region.empty] = 0
        extent = (1, channels, region.y.stop - region.y.start, region.x.stop - region.x.start)
        like = empty_map(bins, extent, True)  # of the region's shape, which is all that is asked of it
        found = torch.ops.aten.adaptive_max_pool2d_backward(bins.permute(2, 0, 1)[None], like, region.cells)
        part = total[region.image, :, region.y, region.x]
        part += found[0, :, : part.shape[1], : part.shape[2]]
    return as_map(total, gradient.dtype, channels_last)


def _regions(features: Tensor, rois: Tensor, size: int, stride: float) -> Iterator[Pooled]:
    """Every region that covers a cell."""
    images, channels, height, width = features.shape
    maps = features.contiguous(memory_format=torch.channels_last)
    # one row and column more: the last cell of a region that ends on the image's edge
    image, y, x = bin_edges(rois, (images, height + 1, width + 1), size, stride)
    empty = _outside(y, height)[:, :, None] | _outside(x, width)[:, None, :]  # (R, size, size)
    even = (_are_even(y) & _are_even(x)).tolist()
    extents = torch.stack((image, y[:, 0, 0], y[:, 1, -1], x[:, 0, 0], x[:, 1, -1]), 1).tolist()
    some_empty, all_empty = empty.flatten(1).any(1).tolist(), empty.flatten(1).all(1).tolist()
    for r, (i, top, bottom, left, right) in enumerate(extents):
        if all_empty[r] or not channels:
            continue
        part = maps[i : i + 1, :, top:bottom, left:right]
        if bottom > height or right > width:
            part = functional.pad(part, (0, max(0, right - width), 0, max(0, bottom - height)), value=-torch.inf)
        if even[r]:
            maxima, cells = functional.adaptive_max_pool2d(part, size, return_indices=True)
        else:
            maxima, cells = _bin_by_bin(part, (y[r] - top).tolist(), (x[r] - left).tolist())
        if some_empty[r]:
            maxima[:, :, empty[r]] = 0
        yield Pooled(r, i, slice(top, bottom), slice(left, right), maxima, cells, empty[r] if some_empty[r] else None)


def _outside(edges: Tensor, extent: int) -> Tensor:
    """``(R, 2, size) -> (R, size)`` bool: bins without a cell of the map."""
    return (edges[:, 0] >= extent) | (edges[:, 1] <= edges[:, 0])


def _are_even(edges: Tensor) -> Tensor:
    """``(R, 2, size) -> (R,)`` bool: whether the bins are those of adaptive pooling of the cells they cover."""
    size = edges.shape[2]
    first, cells = edges[:, 0, :1], edges[:, 1, -1:] - edges[:, 0, :1]
    bins = torch.arange(size, device=edges.device)
    begin = first + bins * cells // size
    end = first + ((bins + 1) * cells + size - 1) // size
    return ((edges[:, 0] == begin) & (edges[:, 1] == end)).all(1)


def _bin_by_bin(part: Tensor, y: Sequence[Sequence[int]], x: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Maxima and their cells, as adaptive pooling returns them, of bins ``[y[0][p], y[1][p]) x [x[0][q], x[1][q])``."""
    _, channels, _, width = part.shape
    size = len(y[0])
    maxima = part.new_full((1, channels, size, size), -torch.inf)
    cells = torch.zeros((1, channels, size, size), dtype=torch.int64, device=part.device)
    for p, (top, bottom) in enumerate(zip(*y, strict=True)):
        for q, (left, right) in enumerate(zip(*x, strict=True)):
            if top < bottom and left < right:
                best, at = part[0, :, top:bottom, left:right].flatten(1).max(1)
                maxima[0, :, p, q] = best
                cells[0, :, p, q] = (top + at // (right - left)) * width + left + at % (right - left)
    return maxima, cells
