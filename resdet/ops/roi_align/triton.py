"""RoI align on a GPU.

First the matrices of :mod:`resdet.ops.roi_align.sampling`, one row of ``H + W`` weights a bin.  Forward: one program
a region, row of bins and block of channels; it weighs a stretch of cells along y, and spreads it along x over all bins
of the row by a small matrix product.  Backward turns this round: one program a stretch of cells and block of channels,
which sums what the regions that touch it send there, region after region.  So nothing is added from two sides at once:
no atomics, the same bits every time, and no memory but the weights and the gradient itself.

Regions are computed in float32, sums in float32 (float64 for float64 maps).  Any strides will do; neighbouring threads
read neighbouring channels, so that channels_last is the fast one.
"""

# mypy: disable-error-code="no-untyped-def"
# (what a kernel takes is a tensor to its caller and a pointer, a block or a constant within)
from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from resdet.ops.kernels import device_of, power_of_two
from resdet.ops.region_kernel import LOOKED_AT, as_kernels_read, held_in, load_region, nth_of, touching
from resdet.ops.regions import empty_map, empty_pooled
from resdet.ops.roi_align.sampling import Rule

CHANNELS = 128  # a block, at most
CELLS = 16  # neighbours in a row that are read, or in the backward pass written, at once
LEAST = 16  # rows and columns of what Triton multiplies


def forward(features: Tensor, rois: Tensor, rule: Rule) -> Tensor:
    """See :func:`resdet.ops.roi_align`."""
    images, channels, height, width = features.shape
    pooled = empty_pooled(features, rois, rule.bins)
    if not pooled.numel():
        return pooled
    rois = as_kernels_read(rois)
    with device_of(features):
        weights, _ = _weights(rois, features.shape, rule)
        block = _block(channels)
        _forward[(len(rois) * rule.bins, triton.cdiv(channels, block))](
            features, rois, weights, pooled, images, channels, height, width, *features.stride(), *pooled.stride(),
            1 / rule.stride, rule.size, rule.step, rule.bins, rule.aligned, _bins(rule.bins), CELLS, block,
            held_in(features),
        )  # fmt: skip
    return pooled


def backward(gradient: Tensor, rois: Tensor, shape: Sequence[int], rule: Rule, channels_last: bool) -> Tensor:
    """Gradient of the features, ``shape`` ``(B, C, H, W)``, from that of the bins ``(R, C, n, n)``."""
    images, channels, height, width = shape
    found = empty_map(gradient, shape, channels_last)
    if not found.numel():
        return found
    rois = as_kernels_read(rois)
    with device_of(gradient):
        weights, extents = _weights(rois, shape, rule)
        block, stretches = _block(channels), triton.cdiv(width, CELLS)
        _backward[(images * height * stretches, triton.cdiv(channels, block))](
            gradient, weights, extents, found, len(rois), channels, height, width, stretches,
            *gradient.stride(), *found.stride(), gradient.shape[2], _bins(gradient.shape[2]), CELLS, block, LOOKED_AT,
            held_in(gradient),
        )  # fmt: skip
    return found


def _block(channels: int) -> int:
    return min(CHANNELS, max(LEAST, power_of_two(channels)))


def _bins(count: int) -> int:
    return max(LEAST, power_of_two(count))


def _weights(rois: Tensor, shape: Sequence[int], rule: Rule) -> tuple[Tensor, Tensor]:
    """``(R, n, H + W)`` float32: what each row, then each column, of the map adds to each bin; and ``(5, R)`` int32
    of :func:`resdet.ops.region_kernel.touching`."""
    images, _, height, width = shape
    weights = torch.empty(len(rois), rule.bins, height + width, device=rois.device)
    extents = torch.empty(5, len(rois), dtype=torch.int32, device=rois.device)
    if len(rois):
        _axis_weights[(len(rois), 2)](
            rois, weights, extents, len(rois), images, height, width, 1 / rule.stride, rule.size, rule.step, rule.bins,
            rule.sampling, rule.aligned, power_of_two(rule.bins), 32,
            enable_fp_fusion=False,  # on which side of the map's edge a sample lies is as on the CPU, to the last bit
        )  # fmt: skip
    return weights, extents


@triton.jit
def _along(start, end, size: tl.constexpr, aligned: tl.constexpr):
    """Where a region starts along an axis and how long its bins are, in cells."""
    length = end - start
    if aligned:
        start -= 0.5
    else:
        length = tl.maximum(length, 1.0)
    return start, tl.div_rn(length, size * 1.0)


@triton.jit
def _covered(start, end, extent):
    """First cell, and the one after the last, that samples between ``start`` and ``end`` can read."""
    low = tl.minimum(tl.maximum(tl.minimum(start, end), 0.0), extent - 1.0)
    high = tl.minimum(tl.maximum(tl.maximum(start, end), 0.0), extent - 1.0)
    return tl.floor(low).to(tl.int32), tl.minimum(tl.floor(high).to(tl.int32) + 2, extent)


@triton.jit
def _axis_weights(
    rois, weights, extents, regions, images, height, width, scale, size: tl.constexpr, step: tl.constexpr,
    count: tl.constexpr, sampling: tl.constexpr, aligned: tl.constexpr, bins: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """One region and axis: the matrix from cells to bins, and the cells that have a part in it."""
    r, along_x = tl.program_id(0).to(tl.int64), tl.program_id(1) == 1
    image, x1, y1, x2, y2, usable = load_region(rois, r, images, scale)
    start, bin_length = _along(tl.where(along_x, x1, y1), tl.where(along_x, x2, y2), size, aligned)
    extent, offset = tl.where(along_x, width, height), tl.where(along_x, height, 0)
    first, after = _covered(start, start + size * bin_length, extent)
    of_axis = extents + tl.where(along_x, 3, 1) * regions + r
    tl.store(extents + r, image.to(tl.int32))
    tl.store(of_axis, first)
    tl.store(of_axis + regions, after * usable)
    grid = sampling * 1.0 if sampling > 0 else tl.maximum(tl.ceil(bin_length), 0.0)  # samples a bin
    taken = sampling if sampling > 0 else tl.minimum(grid, 7.0).to(tl.int32)  # they are half a cell apart or more
    grid = tl.maximum(grid, 1.0)
    nth_bin = tl.arange(0, bins)[:, None]
    origin = start + nth_bin * step * bin_length
    for begin in range(0, extent, block):
        cell = begin + tl.arange(0, block)[None, :]
        nth = tl.zeros([bins, block], tl.float32)
        if sampling == 0:  # the first sample that can be less than a cell away
            nth = tl.maximum(
                tl.floor(tl.div_rn(cell - 1 - origin, tl.maximum(tl.div_rn(bin_length, grid), 1e-6)) - 0.5), 0.0
            )
            nth = tl.where(grid > 7, nth, 0.0)
        share = tl.zeros([bins, block], tl.float32)
        for _nearby in range(taken):
            at = origin + tl.div_rn((nth + 0.5) * bin_length, grid)
            counts = (usable > 0) & (nth < grid) & (at >= -1) & (at <= extent)
            at = tl.minimum(tl.maximum(at, 0.0), extent - 1.0)
            share += tl.where(counts, tl.maximum(1 - tl.abs(at - cell), 0.0), 0.0)
            nth += 1
        to = weights + (r * count + nth_bin) * (height + width) + offset + cell
        tl.store(to, tl.div_rn(share, grid), mask=(nth_bin < count) & (cell < extent))


@triton.jit
def _forward(
    features, rois, weights, pooled, images, channels, height, width,
    f_image, f_channel, f_y, f_x, p_region, p_channel, p_y, p_x, scale,
    size: tl.constexpr, step: tl.constexpr, count: tl.constexpr, aligned: tl.constexpr, bins: tl.constexpr,
    cells: tl.constexpr, block: tl.constexpr, held: tl.constexpr,
):  # fmt: skip
    """One region, one row of its bins, one block of channels."""
    row = tl.program_id(0).to(tl.int64)
    r, p = row // count, row % count
    channel = (tl.program_id(1) * block + tl.arange(0, block)).to(tl.int64)
    q = tl.arange(0, bins)
    image, x1, y1, x2, y2, usable = load_region(rois, r, images, scale)
    y_start, y_bin = _along(y1, y2, size, aligned)
    x_start, x_bin = _along(x1, x2, size, aligned)
    top, bottom = _covered(y_start + p * step * y_bin, y_start + (p * step + 1) * y_bin, height)
    left, right = _covered(x_start, x_start + size * x_bin, width)
    of_y = weights + row * (height + width)
    of_x = weights + (r * count + q) * (height + width) + height
    total = tl.zeros([bins, block], held)
    for begin in range(left, right * usable, cells):
        x = begin + tl.arange(0, cells)
        column = tl.zeros([cells, block], held)
        for y in range(top, bottom):
            at = (
                features
                + image * f_image
                + channel[None, :] * f_channel
                + tl.cast(y, tl.int64) * f_y
                + x[:, None].to(tl.int64) * f_x
            )
            there = (x < right)[:, None] & (channel < channels)[None, :]
            column += tl.load(of_y + y) * tl.load(at, mask=there, other=0).to(held)
        share = tl.load(of_x[:, None] + x[None, :], mask=(q < count)[:, None] & (x < right)[None, :], other=0)
        total += tl.dot(share.to(held), column, input_precision="ieee", out_dtype=held)
    to = pooled + r * p_region + p * p_y + q[:, None] * p_x + channel[None, :] * p_channel
    tl.store(to, total.to(pooled.dtype.element_ty), mask=(q < count)[:, None] & (channel < channels)[None, :])


@triton.jit
def _backward(
    gradient, weights, extents, found, regions, channels, height, width, stretches,
    g_region, g_channel, g_y, g_x, f_image, f_channel, f_y, f_x,
    count: tl.constexpr, bins: tl.constexpr, cells: tl.constexpr, block: tl.constexpr, looked_at: tl.constexpr,
    held: tl.constexpr,
):  # fmt: skip
    """A stretch of cells in one row of one image's map, one block of channels."""
    stretch = tl.program_id(0)
    left = (stretch % stretches) * cells
    y = (stretch // stretches) % height
    image = stretch // stretches // height
    x = left + tl.arange(0, cells)
    channel = (tl.program_id(1) * block + tl.arange(0, block)).to(tl.int64)
    q = tl.arange(0, bins)
    total = tl.zeros([cells, block], held)
    for begin in range(0, regions, looked_at):
        touches = touching(extents, begin, regions, image, y, left, cells, looked_at)
        for nth in range(0, tl.sum(touches)):
            r = nth_of(touches, nth, begin, looked_at)
            of_bins = weights + (r * count + q) * (height + width)
            along_y = tl.load(of_bins + y, mask=q < count, other=0)
            there = (q < count)[None, :] & (x < width)[:, None]
            along_x = tl.load(of_bins[None, :] + height + x[:, None], mask=there, other=0)  # (cells, bins)
            wanted = (tl.max(along_x, 0) > 0)[:, None] & (channel < channels)[None, :]
            sent = tl.zeros([bins, block], held)  # what a column of bins sends to this row of cells
            for p in range(tl.min(tl.where(along_y > 0, q, bins)), tl.max(tl.where(along_y > 0, q + 1, 0))):
                at = gradient + r * g_region + channel[None, :] * g_channel + p * g_y + q[:, None] * g_x
                share = tl.load(weights + (r * count + p) * (height + width) + y)
                sent += share * tl.load(at, mask=wanted, other=0).to(held)
            total += tl.dot(along_x.to(held), sent, input_precision="ieee", out_dtype=held)
    to = (
        found
        + image.to(tl.int64) * f_image
        + channel[None, :] * f_channel
        + tl.cast(y, tl.int64) * f_y
        + x[:, None].to(tl.int64) * f_x
    )
    tl.store(to, total.to(found.dtype.element_ty), mask=(x < width)[:, None] & (channel < channels)[None, :])
