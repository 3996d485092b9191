"""NMS by groups on a GPU: all of them in two launches, whatever their number and sizes.

Boxes lie in order of group, then score, in tiles of 64.  The first kernel finds, for each box and each tile of its
group from its own on, which of that tile's boxes it would suppress, as the bits of a word.  In the second, one program
a group goes through the group's tiles: what is left of a tile after all better boxes is kept, and strikes out what it
overlaps in the tiles that follow.  Words fill at most ``WORDS`` of memory; what lies beyond is found when it is needed.

The host waits once, for the number of boxes kept.  Overlaps are computed as the reference does it, without fused
multiply-adds, so that a pair falls on the same side of the threshold everywhere.
"""

# mypy: disable-error-code="no-untyped-def"
# (what a kernel takes is a tensor to its caller and a pointer, a block or a constant within)
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from resdet.ops.kernels import device_of

TILE = 64  # boxes, one for each bit of a word
AHEAD = 16  # tiles that are struck out at a time
WORDS = 2**24  # 128 MiB; 96,000 boxes in groups of up to 11,000 fit


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float, most: int | None) -> Tensor:
    """See :func:`resdet.ops.batched_nms`."""
    if not len(boxes):
        return groups.new_zeros(0)
    usable = boxes.isfinite().all(1) & ~scores.isnan()
    order = scores.argsort(descending=True, stable=True)
    # what cannot be used goes into a group of its own, as boxes without area, and out at the end
    groups = torch.where(usable, groups, torch.iinfo(torch.int64).min)[order]
    boxes = torch.where(usable[:, None], boxes.to(torch.promote_types(boxes.dtype, torch.float32)), 0)[order]
    by_group = groups.argsort(stable=True)
    kept = _keep(boxes[by_group], groups[by_group], iou, len(boxes) if most is None else most)
    kept = torch.empty_like(kept).scatter_(0, by_group, kept)  # in order of score again
    return order[kept.bool() & usable[order]]


def _keep(boxes: Tensor, groups: Tensor, iou: float, most: int) -> Tensor:
    """``(N,)`` int8: 1 where a box is kept, of boxes in order of group, then score."""
    count = len(boxes)
    tiles = triton.cdiv(count, TILE)
    band = max(1, min(tiles, WORDS // count))  # tiles, its own included, that a box has a word for
    begins, ends = (torch.searchsorted(groups, groups, right=right) for right in (False, True))
    nth_group = (begins == torch.arange(count, device=boxes.device)).cumsum(0) - 1
    words = torch.empty(count * band, dtype=torch.int64, device=boxes.device)
    struck = torch.zeros(tiles + count, dtype=torch.int64, device=boxes.device)  # a word for each group in each tile
    kept = torch.zeros(count, dtype=torch.int8, device=boxes.device)
    boxes = boxes.contiguous()
    threshold = torch.full((1,), iou, dtype=boxes.dtype, device=boxes.device)  # a float argument would be a float32
    with device_of(boxes):
        _overlaps[(tiles,)](boxes, ends, threshold, words, count, band, TILE, num_warps=8, enable_fp_fusion=False)
        _sweep[(count,)](
            boxes, begins, ends, nth_group, threshold, words, struck, kept, count, band, most, TILE, AHEAD,
            num_warps=8, enable_fp_fusion=False,
        )  # fmt: skip
    return kept


@triton.jit
def _either(a, b):
    return a | b


@triton.jit
def _load_boxes(boxes, index, there):
    """Corners and area, zeros where there is none."""
    x1 = tl.load(boxes + index * 4, mask=there, other=0)
    y1 = tl.load(boxes + index * 4 + 1, mask=there, other=0)
    x2 = tl.load(boxes + index * 4 + 2, mask=there, other=0)
    y2 = tl.load(boxes + index * 4 + 3, mask=there, other=0)
    return x1, y1, x2, y2, (x2 - x1) * (y2 - y1)


@triton.jit
def _suppressed(boxes, ends, threshold, row, column, count, tile: tl.constexpr):
    """A word for each box ``row``: a bit for each box ``column`` after it in its group that it overlaps."""
    row_end = tl.load(ends + row, mask=row < count, other=0)
    x1, y1, x2, y2, area = _load_boxes(boxes, row, row < count)
    u1, v1, u2, v2, areas = _load_boxes(boxes, column, column < count)
    wide = tl.maximum(tl.minimum(x2[:, None], u2[None, :]) - tl.maximum(x1[:, None], u1[None, :]), 0.0)
    high = tl.maximum(tl.minimum(y2[:, None], v2[None, :]) - tl.maximum(y1[:, None], v1[None, :]), 0.0)
    inter = wide * high
    union = area[:, None] + areas[None, :] - inter
    some = inter > 0  # then the union is not 0
    inter, union = tl.where(some, inter, 0.0), tl.where(some, union, 1.0)
    # the plain division of float32 is not rounded to the nearest on a GPU
    ratio = inter / union if boxes.dtype.element_ty == tl.float64 else tl.div_rn(inter, union)
    over = (ratio > threshold) & (column[None, :] > row[:, None]) & (column[None, :] < row_end[:, None])
    bit = tl.full([1, tile], 1, tl.int64) << tl.arange(0, tile)[None, :].to(tl.int64)
    return tl.sum(tl.where(over, bit, 0), 1)


@triton.jit
def _overlaps(boxes, ends, threshold, words, count, band, tile: tl.constexpr):
    """One tile of boxes against the tiles of their groups from it on."""
    here = tl.program_id(0).to(tl.int64)
    row = here * tile + tl.arange(0, tile)
    limit = tl.load(threshold)
    end = tl.load(ends + tl.minimum(here * tile + tile, count) - 1)
    for ahead in range(0, tl.minimum((end + tile - 1) // tile - here, band)):
        found = _suppressed(boxes, ends, limit, row, row + ahead * tile, count, tile)
        tl.store(words + row * band + ahead, found, mask=row < count)


@triton.jit
def _left_of_tile(words, struck_out, mine, here, band, count, tile: tl.constexpr):
    """Which boxes of a tile are kept: from the best down, each that is left strikes out those it overlaps."""
    lane = tl.arange(0, tile).to(tl.int64)
    left = tl.sum(tl.where(mine, tl.full([tile], 1, tl.int64) << lane, 0)) & ~struck_out
    for begin in range(0, tile, 16):
        for i in tl.static_range(16):  # unrolled: the loads do not wait for each other
            row = here * tile + begin + i
            overlapped = tl.load(words + row * band, mask=row < count, other=0)
            left = tl.where(((left >> (begin + i)) & 1) == 1, left & ~overlapped, left)
    return ((left >> lane) & 1).to(tl.int32)


@triton.jit
def _sweep(
    boxes, begins, ends, nth_group, threshold, words, struck, kept, count, band, most,
    tile: tl.constexpr, ahead: tl.constexpr,
):  # fmt: skip
    """One group, started at its first box."""
    first = tl.program_id(0).to(tl.int64)
    if tl.load(begins + first) == first:
        end = tl.load(ends + first)
        struck += tl.load(nth_group + first)  # a tile on a border has a word for each of its groups
        limit = tl.load(threshold)
        last = (end - 1) // tile
        here = first // tile
        taken = 0
        while (here <= last) & (taken < most):
            row = here * tile + tl.arange(0, tile)
            mine = (row >= first) & (row < end)
            keep = _left_of_tile(words, tl.load(struck + here), mine, here, band, count, tile)
            keep = tl.where(taken + tl.cumsum(keep, 0) <= most, keep, 0)
            tl.store(kept + row, keep.to(tl.int8), mask=mine)
            taken += tl.sum(keep)
            for begin in range(1, tl.minimum(last - here + 1, band), ahead):
                then = begin + tl.arange(0, ahead)
                there = then < tl.minimum(last - here + 1, band)
                mask = (keep > 0)[:, None] & there[None, :]
                overlapped = tl.load(words + row[:, None] * band + then[None, :], mask=mask, other=0)
                overlapped = tl.reduce(overlapped, 0, _either)
                before = tl.load(struck + here + then, mask=there, other=0)
                tl.store(struck + here + then, before | overlapped, mask=there)
            for beyond in range(band, last - here + 1):
                found = _suppressed(boxes, ends, limit, row, row + beyond * tile, count, tile)
                found = tl.reduce(tl.where(keep > 0, found, 0), 0, _either)
                tl.store(struck + here + beyond, tl.load(struck + here + beyond) | found)
            tl.debug_barrier()  # the next tile's word may have been written by other threads
            here += 1
