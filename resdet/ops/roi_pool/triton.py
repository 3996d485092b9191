"""RoI pool on a GPU.

Forward: one program a region, row of bins and a few blocks of channels; where a gradient is wanted it also notes the
cell of each maximum (2 bytes an output, 4 on maps of more than 32,768 cells).  Backward: one program a few cells and
block of channels sums what the bins that cover them and had their maximum there send, region after region.  So nothing
is added from two sides at once: no atomics, the same bits every time.

Regions are computed in float32, sums in float32 (float64 for float64 maps).  Neighbouring threads read
neighbouring channels: channels_last is the fast format, another costs a copy.
"""

# mypy: disable-error-code="no-untyped-def"
# (what a kernel takes is a tensor to its caller and a pointer, a block or a constant within)
from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from resdet.ops.kernels import blocks_of, device_of, power_of_two
from resdet.ops.region_kernel import (
    LOOKED_AT,
    as_kernels_read,
    channels_innermost,
    held_in,
    load_region,
    nth_of,
    touching,
)
from resdet.ops.regions import empty_map, empty_pooled

CHANNELS = 128  # a block, at most
BLOCKS = 4  # that one program of the forward pass goes through, at most: it finds the edges of the bins once
CELLS = 4  # neighbours in a row that one program of the backward pass sums for
AT_ONCE = 4  # bins in a row that it reads at once
IN_16_BITS = 2**15  # cells of a map that 16 bits tell apart


class Maxima(NamedTuple):
    """What the backward pass reads."""

    cells: Tensor  # (R, n, n, C) int16 or int32: of each bin's maximum ``y * W + x``, -1 where there is none
    extents: Tensor  # (5, R) int32, see :func:`resdet.ops.region_kernel.touching`
    edges: Tensor  # (R, 4, n) int32: first row of cells of each row of bins, the one after the last, and for columns


def forward(features: Tensor, rois: Tensor, size: int, stride: float) -> Tensor:
    """See :func:`resdet.ops.roi_pool`."""
    pooled = empty_pooled(features, rois, size)
    _launch_maxima(features, rois, size, stride, pooled, None)
    return pooled


def forward_and_maxima(features: Tensor, rois: Tensor, size: int, stride: float) -> tuple[Tensor, Maxima]:
    """The same, and what :func:`backward` asks for."""
    pooled, maxima = empty_pooled(features, rois, size), _empty_maxima(features, rois, size)
    _launch_maxima(features, rois, size, stride, pooled, maxima)
    return pooled, maxima


def backward(
    gradient: Tensor, features: Tensor, rois: Tensor, stride: float, channels_last: bool, maxima: Maxima | None = None
) -> Tensor:
    """Gradient of the features from that of the bins, ``(R, C, size, size)``; maxima not given are found again."""
    images, channels, height, width = features.shape
    size = gradient.shape[2]
    found = empty_map(gradient, features.shape, channels_last)
    if not found.numel():
        return found
    if maxima is None:
        maxima = _empty_maxima(features, rois, size)
        _launch_maxima(features, rois, size, stride, None, maxima)
    gradient = channels_innermost(gradient)
    block, stretches = min(CHANNELS, power_of_two(channels)), blocks_of(width, CELLS)
    with device_of(features):
        _backward[(images * height * stretches, blocks_of(channels, block))](
            gradient, *maxima, found, rois.shape[0], channels, height, width, stretches, *gradient.stride(),
            *found.stride(), size, power_of_two(size), CELLS, block, AT_ONCE, LOOKED_AT,
            held_in(features), num_warps=1,
        )  # fmt: skip
    return found


def _empty_maxima(features: Tensor, rois: Tensor, size: int) -> Maxima:
    channels, height, width = features.shape[1:]
    count, device = rois.shape[0], rois.device
    small = torch.int16 if height * width <= IN_16_BITS else torch.int32
    return Maxima(
        torch.empty(count, size, size, channels, dtype=small, device=device),
        torch.empty(5, count, dtype=torch.int32, device=device),
        torch.empty(count, 4, size, dtype=torch.int32, device=device),
    )


def _launch_maxima(
    features: Tensor, rois: Tensor, size: int, stride: float, pooled: Tensor | None, maxima: Maxima | None
) -> None:
    """Writes the bins' maxima, or their cells, or both."""
    images, channels, height, width = features.shape
    features = channels_innermost(features)
    into = features if pooled is None else pooled
    block = min(CHANNELS, power_of_two(max(channels, 1)))
    blocks = min(BLOCKS, blocks_of(channels, block))
    if rois.shape[0] and channels:
        with device_of(features):
            _maxima[(rois.shape[0] * size, blocks_of(channels, block * blocks))](
                features, as_kernels_read(rois), into, *(maxima or [rois] * 3), rois.shape[0], images, channels,
                height, width, *features.stride(), *into.stride(), 1 / stride, size, power_of_two(size), block, blocks,
                pooled is not None, maxima is not None, held_in(features),
                enable_fp_fusion=False,  # bins' edges are as on the CPU
            )  # fmt: skip


@triton.jit
def _rounded(x):
    """To whole cells, halves away from zero, as C's round()."""
    whole = tl.floor(tl.abs(x))
    whole += tl.where(tl.abs(x) - whole >= 0.5, 1.0, 0.0)
    return tl.where(x < 0, -whole, whole)


@triton.jit
def _along(start, end, size: tl.constexpr):
    """Where a region starts along an axis and how long its bins are, in cells, both corner cells included."""
    start = _rounded(start)
    return start, tl.div_rn(tl.maximum(_rounded(end) - start + 1, 1.0), size * 1.0)


@triton.jit
def _edges(nth_bin, start, bin_length, extent):
    """The first cell of a bin and the one after the last, within the map."""
    low, high = tl.floor(nth_bin * bin_length) + start, tl.ceil((nth_bin + 1) * bin_length) + start
    low, high = tl.maximum(low, 0.0), tl.maximum(high, 0.0)
    return tl.minimum(low, extent * 1.0).to(tl.int32), tl.minimum(high, extent * 1.0).to(tl.int32)


@triton.jit
def _maxima(
    features, rois, pooled, places, extents, edges, regions, images, channels, height, width,
    f_image, f_channel, f_y, f_x, p_region, p_channel, p_y, p_x, scale,
    size: tl.constexpr, bins: tl.constexpr, block: tl.constexpr, blocks: tl.constexpr, pools: tl.constexpr,
    keeps: tl.constexpr, held: tl.constexpr,
):  # fmt: skip
    """One region, one row of its bins, some blocks of channels: cell after cell of all bins at once."""
    row = tl.program_id(0).to(tl.int64)
    r, p = row // size, row % size
    q = tl.arange(0, bins)
    image, x1, y1, x2, y2, usable = load_region(rois, r, images, scale)
    y_start, y_bin = _along(y1, y2, size)
    x_start, x_bin = _along(x1, x2, size)
    top, bottom = _edges(p, y_start, y_bin, height)
    left, right = _edges(q, x_start, x_bin, width)
    there_are = (usable > 0) & (top < bottom) & (left < right)
    bottom = tl.where(usable > 0, bottom, top)
    most, last = tl.max(right - left), tl.maximum(right - 1, 0)
    for nth_block in range(blocks):
        channel = ((tl.program_id(1) * blocks + nth_block) * block + tl.arange(0, block)).to(tl.int64)
        there = (channel < channels)[None, :] & (q < size)[:, None]
        best = tl.full([bins, block], float("-inf"), held)
        cell = tl.full([bins, block], 0, tl.int32) + (top * width + left)[:, None]
        for y in range(top, bottom):
            for nth in range(0, most):
                x = tl.minimum(left + nth, last)  # narrower bins read their last cell again
                at = (
                    features
                    + image * f_image
                    + channel[None, :] * f_channel
                    + tl.cast(y, tl.int64) * f_y
                    + x[:, None].to(tl.int64) * f_x
                )
                value = tl.load(at, mask=there).to(held)
                better = (value > best) | (value != value)  # a NaN comes through
                best = tl.where(better, value, best)
                if keeps:
                    cell = tl.where(better, (y * width + x)[:, None], cell)
        if pools:
            best = tl.where(there_are[:, None], best, 0.0)
            to = r * p_region + channel[None, :] * p_channel + p * p_y + q[:, None].to(tl.int64) * p_x
            tl.store(pooled + to, best.to(pooled.dtype.element_ty), mask=there)
        if keeps:
            cell = tl.where(there_are[:, None], cell, -1)
            to = (row * size + q[:, None]) * channels + channel[None, :]
            tl.store(places + to, cell.to(places.dtype.element_ty), mask=there)
    if keeps and (p == 0) & (tl.program_id(1) == 0):
        tops, bottoms = _edges(q, y_start, y_bin, height)
        tl.store(extents + r, image.to(tl.int32))
        tl.store(extents + regions + r, top)
        tl.store(extents + 2 * regions + r, tl.max(tl.where(q < size, bottoms, 0)) * usable)
        tl.store(extents + 3 * regions + r, tl.min(tl.where(q < size, left, width)))
        tl.store(extents + 4 * regions + r, tl.max(tl.where(q < size, right, 0)))
        of_bins = edges + r * 4 * size + q
        tl.store(of_bins, tops, mask=q < size)
        tl.store(of_bins + size, bottoms, mask=q < size)
        tl.store(of_bins + 2 * size, left, mask=q < size)
        tl.store(of_bins + 3 * size, right, mask=q < size)


@triton.jit
def _how_many(edges, below, q, size: tl.constexpr):
    """Bins whose edge lies below a cell; edges ascend."""
    return tl.sum((tl.load(edges + q, mask=q < size, other=below) < below).to(tl.int32))


@triton.jit
def _backward(
    gradient, places, extents, edges, found, regions, channels, height, width, stretches,
    g_region, g_channel, g_y, g_x, f_image, f_channel, f_y, f_x,
    size: tl.constexpr, bins: tl.constexpr, cells: tl.constexpr, block: tl.constexpr, at_once: tl.constexpr,
    looked_at: tl.constexpr, held: tl.constexpr,
):  # fmt: skip
    """A stretch of cells in one row of one image's map, one block of channels."""
    stretch = tl.program_id(0)
    left = (stretch % stretches) * cells
    y = (stretch // stretches) % height
    image = stretch // stretches // height
    nth_cell = tl.arange(0, cells)
    channel = (tl.program_id(1) * block + tl.arange(0, block)).to(tl.int64)
    q = tl.arange(0, bins)
    total = tl.zeros([cells, block], held)
    for begin in range(0, regions, looked_at):
        touches = touching(extents, begin, regions, image, y, left, cells, looked_at)
        for nth in range(0, tl.sum(touches)):
            r = nth_of(touches, nth, begin, looked_at)
            of_bins = edges + r * 4 * size
            p_first = _how_many(of_bins + size, y + 1, q, size)
            p_after = _how_many(of_bins, y + 1, q, size)
            q_first = _how_many(of_bins + 3 * size, left + 1, q, size)
            q_after = _how_many(of_bins + 2 * size, left + cells, q, size)
            of_gradient = gradient + r * g_region + channel[None, :] * g_channel
            of_places = places + r * size * size * channels + channel[None, :]
            for p in range(p_first, p_after):
                for begin_q in range(q_first, q_after, at_once):
                    for n in tl.static_range(at_once):  # unrolled: the loads do not wait for each other
                        nth_bin = begin_q + n
                        there = (nth_bin < q_after) & (channel < channels)[None, :]
                        value = tl.load(of_gradient + p * g_y + nth_bin * g_x, mask=there, other=0).to(held)
                        cell = tl.load(of_places + (p * size + nth_bin) * channels, mask=there, other=-1).to(tl.int32)
                        total += tl.where(cell - (y * width + left) == nth_cell[:, None], value, 0.0)
    x = left + nth_cell
    to = (
        found
        + image.to(tl.int64) * f_image
        + channel[None, :] * f_channel
        + tl.cast(y, tl.int64) * f_y
        + x[:, None].to(tl.int64) * f_x
    )
    tl.store(to, total.to(found.dtype.element_ty), mask=(x < width)[:, None] & (channel < channels)[None, :])
