"""RoI pool on a GPU.

Forward: one program a region, row of bins and block of channels.  Backward: the same finds the cell of each maximum
again (4 bytes an output, for as long as the backward pass takes), then one program a stretch of cells and block of
channels sums what the bins that cover it and had their maximum there send it, region after region.  So nothing is
added from two sides at once: no atomics, the same bits every time.

Regions are computed in float32, sums in float32 (float64 for float64 maps).  Any strides will do; neighbouring threads
read neighbouring channels, so that channels_last is the fast one.
"""

# mypy: disable-error-code="no-untyped-def"
# (what a kernel takes is a tensor to its caller and a pointer, a block or a constant within)
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from resdet.ops.kernels import device_of, power_of_two
from resdet.ops.region_kernel import LOOKED_AT, as_kernels_read, held_in, load_region, nth_of, touching
from resdet.ops.regions import empty_map, empty_pooled

CHANNELS = 128  # a block, at most
CELLS = 16  # neighbours in a row that one program of the backward pass sums for


def forward(features: Tensor, rois: Tensor, size: int, stride: float) -> Tensor:
    """See :func:`resdet.ops.roi_pool`."""
    pooled = empty_pooled(features, rois, size)
    _launch_maxima(features, as_kernels_read(rois), pooled, None, stride)
    return pooled


def backward(gradient: Tensor, features: Tensor, rois: Tensor, stride: float, channels_last: bool) -> Tensor:
    """Gradient of the features from that of the bins, ``(R, C, size, size)``."""
    images, channels, height, width = features.shape
    size = gradient.shape[2]
    found = empty_map(gradient, features.shape, channels_last)
    if not found.numel():
        return found
    rois = as_kernels_read(rois)
    maxima = empty_pooled(features, rois, size, torch.int32)
    extents = torch.empty(5, len(rois), dtype=torch.int32, device=rois.device)
    _launch_maxima(features, rois, maxima, extents, stride)
    block, stretches = min(CHANNELS, power_of_two(channels)), triton.cdiv(width, CELLS)
    with device_of(features):
        _backward[(images * height * stretches, triton.cdiv(channels, block))](
            gradient, maxima, rois, extents, found, len(rois), images, channels, height, width, stretches,
            *gradient.stride(), *maxima.stride(), *found.stride(), 1 / stride, size, power_of_two(size), CELLS, block,
            LOOKED_AT, held_in(features), enable_fp_fusion=False,
        )  # fmt: skip
    return found


def _launch_maxima(features: Tensor, rois: Tensor, pooled: Tensor, extents: Tensor | None, stride: float) -> None:
    """Writes each bin's maximum; or, with ``extents``, its cell ``y * W + x``, -1 where there is none, and the regions'
    cells (:func:`resdet.ops.region_kernel.touching`)."""
    images, channels, height, width = features.shape
    size = pooled.shape[2]
    block = min(CHANNELS, power_of_two(max(channels, 1)))
    if pooled.numel():
        with device_of(features):
            _maxima[(len(rois) * size, triton.cdiv(channels, block))](
                features, rois, pooled, rois if extents is None else extents, len(rois), images, channels,
                height, width, *features.stride(), *pooled.stride(), 1 / stride, size, power_of_two(size), block,
                extents is not None, held_in(features),
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
    features, rois, pooled, extents, regions, images, channels, height, width,
    f_image, f_channel, f_y, f_x, p_region, p_channel, p_y, p_x, scale,
    size: tl.constexpr, bins: tl.constexpr, block: tl.constexpr, cells: tl.constexpr, held: tl.constexpr,
):  # fmt: skip
    """One region, one row of its bins, one block of channels: cell after cell of all bins at once."""
    row = tl.program_id(0).to(tl.int64)
    r, p = row // size, row % size
    channel = (tl.program_id(1) * block + tl.arange(0, block)).to(tl.int64)
    q = tl.arange(0, bins)
    image, x1, y1, x2, y2, usable = load_region(rois, r, images, scale)
    y_start, y_bin = _along(y1, y2, size)
    x_start, x_bin = _along(x1, x2, size)
    top, bottom = _edges(p, y_start, y_bin, height)
    left, right = _edges(q, x_start, x_bin, width)
    there_are = (usable > 0) & (top < bottom) & (left < right)
    bottom = tl.where(usable > 0, bottom, top)
    best = tl.full([bins, block], float("-inf"), held)
    cell = tl.full([bins, block], 0, tl.int32) + (top * width + left)[:, None]
    for y in range(top, bottom):
        for nth in range(0, tl.max(right - left)):
            x = left + nth
            at = (
                features
                + image * f_image
                + channel[None, :] * f_channel
                + tl.cast(y, tl.int64) * f_y
                + x[:, None].to(tl.int64) * f_x
            )
            inside = (x < right)[:, None] & (channel < channels)[None, :]
            value = tl.load(at, mask=inside, other=float("-inf")).to(held)
            better = (value > best) | (value != value)  # a NaN comes through
            best = tl.where(better, value, best)
            cell = tl.where(better, (y * width + x)[:, None], cell)
    to = pooled + r * p_region + channel[None, :] * p_channel + p * p_y + q[:, None].to(tl.int64) * p_x
    written = (q < size)[:, None] & (channel < channels)[None, :]
    if cells:
        tl.store(to, tl.where(there_are[:, None], cell, -1), mask=written)
        if (p == 0) & (tl.program_id(1) == 0):
            _, end = _edges(size - 1, y_start, y_bin, height)
            tl.store(extents + r, image.to(tl.int32))
            tl.store(extents + regions + r, top)
            tl.store(extents + 2 * regions + r, end * usable)
            tl.store(extents + 3 * regions + r, tl.min(tl.where(q < size, left, width)))
            tl.store(extents + 4 * regions + r, tl.max(tl.where(q < size, right, 0)))
    else:
        best = tl.where(there_are[:, None], best, 0.0)
        tl.store(to, best.to(pooled.dtype.element_ty), mask=written)


@triton.jit
def _backward(
    gradient, maxima, rois, extents, found, regions, images, channels, height, width, stretches,
    g_region, g_channel, g_y, g_x, m_region, m_channel, m_y, m_x, f_image, f_channel, f_y, f_x, scale,
    size: tl.constexpr, bins: tl.constexpr, cells: tl.constexpr, block: tl.constexpr, looked_at: tl.constexpr,
    held: tl.constexpr,
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
            _, x1, y1, x2, y2, _usable = load_region(rois, r, images, scale)
            y_start, y_bin = _along(y1, y2, size)
            x_start, x_bin = _along(x1, x2, size)
            tops, bottoms = _edges(q, y_start, y_bin, height)
            lefts, rights = _edges(q, x_start, x_bin, width)
            covers = (q < size) & (tops <= y) & (y < bottoms)
            wanted = (q < size) & (lefts < left + cells) & (rights > left)
            first = tl.maximum(tl.min(tl.where(wanted, lefts, width)) - left, 0)
            after = tl.minimum(tl.max(tl.where(wanted, rights, 0)) - left, cells)
            mask = wanted[:, None] & (channel < channels)[None, :]
            for p in range(tl.min(tl.where(covers, q, bins)), tl.max(tl.where(covers, q + 1, 0))):
                at = r * g_region + channel[None, :] * g_channel + p * g_y + q[:, None] * g_x
                value = tl.load(gradient + at, mask=mask, other=0).to(held)
                at = r * m_region + channel[None, :] * m_channel + p * m_y + q[:, None] * m_x
                cell = tl.load(maxima + at, mask=mask, other=-1) - (y * width + left)  # of the stretch
                for n in range(first, after):
                    sent = tl.sum(tl.where(cell == n, value, 0.0), 0)  # to one cell by all bins of the row
                    total += tl.where((nth_cell == n)[:, None], sent[None, :], 0.0)
    x = left + nth_cell
    to = (
        found
        + image.to(tl.int64) * f_image
        + channel[None, :] * f_channel
        + tl.cast(y, tl.int64) * f_y
        + x[:, None].to(tl.int64) * f_x
    )
    tl.store(to, total.to(found.dtype.element_ty), mask=(x < width)[:, None] & (channel < channels)[None, :])
