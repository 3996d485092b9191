"""RoI align on a GPU.

First the matrices of :mod:`resdet.ops.roi_align.sampling`, one row of ``H + W`` weights a bin, and where in them the
numbers lie that are not 0.  Forward: one program a region, row of bins and some blocks of channels adds up cell after
cell of all bins at once.  Backward: one program a few cells and block of channels sums what the bins that read them
send, region after region.  So nothing is added from two sides at once: no atomics, the same bits every time, and no
memory but the weights, which are kept for the backward pass, and the gradient itself.

Regions are computed in float32, sums in float32 (float64 for float64 maps).  Neighbouring threads read
neighbouring channels: channels_last is the fast format, another costs a copy.
"""

# mypy: disable-error-code="no-untyped-def"
# (what a kernel takes is a tensor to its caller and a pointer, a block or a constant within)
from __future__ import annotations

from collections.abc import Sequence
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
from resdet.ops.roi_align.sampling import Rule

CHANNELS = 128  # a block, at most
BLOCKS = 4  # that one program of the forward pass goes through, at most: it finds out once which cells its bins read
CELLS = 4  # neighbours in a row that one program of the backward pass sums for
AT_ONCE = 4  # bins in a column that it reads at once


class Weights(NamedTuple):
    """Of all regions; what both passes read."""

    shares: Tensor  # (R, n, H + W) float32: what each row, then each column, of the map adds to each bin
    reads: Tensor  # (R, n, 4) int32: the first row that a bin reads, the one after the last, and the same for columns
    readers: Tensor  # (R, 2, H + W) int32: of each row and column, the first bin that reads it, the one after the last
    extents: Tensor  # (5, R) int32, see :func:`resdet.ops.region_kernel.touching`


def forward(features: Tensor, rois: Tensor, rule: Rule) -> Tensor:
    """See :func:`resdet.ops.roi_align`."""
    return forward_and_weights(features, rois, rule)[0]


def forward_and_weights(features: Tensor, rois: Tensor, rule: Rule) -> tuple[Tensor, Weights]:
    """The same, and what :func:`backward` asks for."""
    channels, height, width = features.shape[1:]
    pooled = empty_pooled(features, rois, rule.bins)
    weights = _weights(rois, features.shape, rule)
    if pooled.numel():
        block = min(CHANNELS, power_of_two(channels))
        blocks = min(BLOCKS, blocks_of(channels, block))
        features = channels_innermost(features)
        with device_of(features):
            _forward[(rois.shape[0] * rule.bins, blocks_of(channels, block * blocks))](
                features, weights.shares, weights.reads, weights.extents, pooled, channels, height, width,
                *features.stride(), *pooled.stride(), rule.bins, power_of_two(rule.bins), block, blocks,
                held_in(features),
            )  # fmt: skip
    return pooled, weights


def backward(
    gradient: Tensor,
    rois: Tensor,
    shape: Sequence[int],
    rule: Rule,
    channels_last: bool,
    weights: Weights | None = None,
) -> Tensor:
    """Gradient of the features, ``shape`` ``(B, C, H, W)``, from that of the bins ``(R, C, n, n)``; weights not given
    are found again."""
    images, channels, height, width = shape
    found = empty_map(gradient, shape, channels_last)
    if not found.numel():
        return found
    weights = weights or _weights(rois, shape, rule)
    gradient = channels_innermost(gradient)
    regions, count = gradient.shape[0], gradient.shape[2]
    block, stretches = min(CHANNELS, power_of_two(channels)), blocks_of(width, CELLS)
    with device_of(gradient):
        _backward[(images * height * stretches, blocks_of(channels, block))](
            gradient, weights.shares, weights.readers, weights.extents, found, regions, channels, height, width,
            stretches, *gradient.stride(), *found.stride(), count, CELLS, block, AT_ONCE, LOOKED_AT, held_in(gradient),
            num_warps=1,
        )  # fmt: skip
    return found


def _weights(rois: Tensor, shape: Sequence[int], rule: Rule) -> Weights:
    images, _, height, width = shape
    regions, count, device = rois.shape[0], rule.bins, rois.device
    weights = Weights(
        torch.empty(regions, count, height + width, device=device, dtype=torch.float32),
        torch.empty(regions, count, 4, device=device, dtype=torch.int32),
        torch.empty(regions, 2, height + width, device=device, dtype=torch.int32),
        torch.empty(5, regions, device=device, dtype=torch.int32),
    )
    if regions:
        with device_of(rois):
            _axis_weights[(regions, 2)](
                as_kernels_read(rois), *weights, regions, images, height, width, 1 / rule.stride, rule.size, rule.step,
                count, rule.sampling, rule.aligned, power_of_two(count), 32,
                enable_fp_fusion=False,  # on which side of the map's edge a sample lies is as on the CPU
            )  # fmt: skip
    return weights


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
def _axis_weights(
    rois, shares, reads, readers, extents, regions, images, height, width, scale, size: tl.constexpr,
    step: tl.constexpr, count: tl.constexpr, sampling: tl.constexpr, aligned: tl.constexpr, bins: tl.constexpr,
    block: tl.constexpr,
):  # fmt: skip
    """One region and axis: the matrix from cells to bins, and where it is not 0."""
    r, along_x = tl.program_id(0).to(tl.int64), tl.program_id(1) == 1
    image, x1, y1, x2, y2, usable = load_region(rois, r, images, scale)
    start, bin_length = _along(tl.where(along_x, x1, y1), tl.where(along_x, x2, y2), size, aligned)
    extent, offset = tl.where(along_x, width, height), tl.where(along_x, height, 0)
    grid = sampling * 1.0 if sampling > 0 else tl.maximum(tl.ceil(bin_length), 0.0)  # samples a bin
    taken = sampling if sampling > 0 else tl.minimum(grid, 7.0).to(tl.int32)  # they are half a cell apart or more
    grid = tl.maximum(grid, 1.0)
    nth_bin = tl.arange(0, bins)
    origin = start + nth_bin[:, None] * step * bin_length
    first, after = tl.full([bins], 0, tl.int32) + extent, tl.full([bins], 0, tl.int32)
    for begin in range(0, extent, block):
        nth_cell = begin + tl.arange(0, block)
        cell = nth_cell[None, :]
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
        there = (nth_bin < count)[:, None] & (cell < extent)
        to = shares + (r * count + nth_bin[:, None]) * (height + width) + offset + cell
        tl.store(to, tl.div_rn(share, grid), mask=there)
        has = there & (share > 0)
        first = tl.minimum(first, tl.min(tl.where(has, cell, extent), 1))
        after = tl.maximum(after, tl.max(tl.where(has, cell + 1, 0), 1))
        to = readers + r * 2 * (height + width) + offset + nth_cell
        tl.store(to, tl.min(tl.where(has, nth_bin[:, None], count), 0), mask=nth_cell < extent)
        tl.store(to + height + width, tl.max(tl.where(has, nth_bin[:, None] + 1, 0), 0), mask=nth_cell < extent)
    of_bins = reads + (r * count + nth_bin) * 4 + tl.where(along_x, 2, 0)
    tl.store(of_bins, first, mask=nth_bin < count)
    tl.store(of_bins + 1, after, mask=nth_bin < count)
    of_axis = extents + tl.where(along_x, 3, 1) * regions + r
    tl.store(extents + r, image.to(tl.int32))
    tl.store(of_axis, tl.min(first))
    tl.store(of_axis + regions, tl.max(after))


@triton.jit
def _forward(
    features, shares, reads, extents, pooled, channels, height, width,
    f_image, f_channel, f_y, f_x, p_region, p_channel, p_y, p_x,
    count: tl.constexpr, bins: tl.constexpr, block: tl.constexpr, blocks: tl.constexpr, held: tl.constexpr,
):  # fmt: skip
    """One region, one row of its bins, one block of channels."""
    row = tl.program_id(0).to(tl.int64)
    r, p = row // count, row % count
    q = tl.arange(0, bins)
    top, bottom = tl.load(reads + row * 4), tl.load(reads + row * 4 + 1)
    of_bins = reads + (r * count + q) * 4 + 2
    left, right = tl.load(of_bins, mask=q < count, other=0), tl.load(of_bins + 1, mask=q < count, other=0)
    most = tl.max(right - left)
    along_x = shares + (r * count + q) * (height + width) + height
    along_y = shares + row * (height + width)
    features += tl.load(extents + r).to(tl.int64) * f_image + tl.cast(top, tl.int64) * f_y
    first = left[:, None].to(tl.int64) * f_x
    for nth_block in range(blocks):
        channel = ((tl.program_id(1) * blocks + nth_block) * block + tl.arange(0, block)).to(tl.int64)[None, :]
        at = features + first + channel * f_channel
        total = tl.zeros([bins, block], held)
        for nth in range(0, most):
            there = left + nth < right
            of_x = tl.load(along_x + left + nth, mask=there, other=0)
            mask = there[:, None] & (channel < channels)
            of_column = at
            for y in range(top, bottom):
                share = tl.load(along_y + y) * of_x
                total += share[:, None] * tl.load(of_column, mask=mask, other=0).to(held)
                of_column += f_y
            at += f_x
        to = pooled + r * p_region + p * p_y + q[:, None] * p_x + channel * p_channel
        tl.store(to, total.to(pooled.dtype.element_ty), mask=(q < count)[:, None] & (channel < channels))


@triton.jit
def _backward(
    gradient, shares, readers, extents, found, regions, channels, height, width, stretches,
    g_region, g_channel, g_y, g_x, f_image, f_channel, f_y, f_x,
    count: tl.constexpr, cells: tl.constexpr, block: tl.constexpr, at_once: tl.constexpr, looked_at: tl.constexpr,
    held: tl.constexpr,
):  # fmt: skip
    """A stretch of cells in one row of one image's map, one block of channels."""
    stretch = tl.program_id(0)
    left = (stretch % stretches) * cells
    y = (stretch // stretches) % height
    image = stretch // stretches // height
    x = left + tl.arange(0, cells)
    channel = ((tl.program_id(1) * block + tl.arange(0, block)).to(tl.int64))[None, :]
    total = tl.zeros([cells, block], held)
    for begin in range(0, regions, looked_at):
        touches = touching(extents, begin, regions, image, y, left, cells, looked_at)
        for nth in range(0, tl.sum(touches)):
            r = nth_of(touches, nth, begin, looked_at)
            of_cells = readers + r * 2 * (height + width)
            p_first, p_after = tl.load(of_cells + y), tl.load(of_cells + height + width + y)
            of_cells += height + x
            q_first = tl.min(tl.load(of_cells, mask=x < width, other=count))
            q_after = tl.max(tl.load(of_cells + height + width, mask=x < width, other=0))
            along_y = shares + r * count * (height + width) + y
            for begin_p in range(p_first, p_after, at_once):
                for q in range(q_first, q_after):
                    of_x = tl.load(shares + (r * count + q) * (height + width) + height + x, mask=x < width, other=0)
                    sent = tl.zeros([1, block], held)  # by some of a column of bins to this row of cells
                    for n in tl.static_range(at_once):  # unrolled: the loads do not wait for each other
                        p = begin_p + n
                        share = tl.load(along_y + p * (height + width), mask=p < p_after, other=0)
                        at = gradient + r * g_region + p * g_y + q * g_x + channel * g_channel
                        sent += share * tl.load(at, mask=(channel < channels) & (p < p_after), other=0).to(held)
                    total += of_x[:, None] * sent
    to = (
        found
        + image.to(tl.int64) * f_image
        + channel * f_channel
        + tl.cast(y, tl.int64) * f_y
        + x[:, None].to(tl.int64) * f_x
    )
    tl.store(to, total.to(found.dtype.element_ty), mask=(x < width)[:, None] & (channel < channels))
