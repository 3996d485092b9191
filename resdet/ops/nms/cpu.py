"""Greedy suppression group by group; runs on any device that torch does.

A small group goes through torchvision's operator, pair by pair.  A large one goes by blocks of boxes and by whole
tables of overlaps, which vector instructions fill.  Measured with torchvision 0.29 on one core of an EPYC (Zen 4), IoU
0.7, processor milliseconds, pairs against tables: 20 groups of 300 boxes 13 and 15, 10 of 600 23 and 17, 10 of 1000
58 and 35, one of 6000 125 and 41, and where 300 of those are enough (``most``) 1.  At IoU 0.3, where few are kept and
thus few pairs looked at: 8 and 13, 10 and 12, 19 and 21, 12 and 13.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import nms as pair_by_pair

SMALL = 500  # boxes of a group, up to which pairs are faster
BLOCK = 256  # boxes; of 64 to 512 the fastest
TABLE = 512  # kept boxes that a block is held against at a time: tables of 512 KiB stay in a core's second cache


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float, most: int | None) -> Tensor:
    """See :func:`resdet.ops.batched_nms`."""
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32))
    order = scores.argsort(descending=True, stable=True)
    usable = boxes.isfinite().all(1) & ~scores.isnan()
    order = order[usable[order]]
    by_group = groups[order].argsort(stable=True)  # positions in `order`, by group, then score
    counts = groups[order[by_group]].unique_consecutive(return_counts=True)[1].tolist()
    lined_up = boxes[order[by_group]]
    falling = torch.arange(len(order), 0, -1, dtype=boxes.dtype, device=boxes.device)  # scores in that order
    iou = torch.tensor(iou, dtype=boxes.dtype).item()  # torchvision holds an IoU of float32(0.3) to be over 0.3
    kept, begin = [], 0
    for n in counts:
        part = lined_up[begin : begin + n]
        one = pair_by_pair(part, falling[begin : begin + n], iou)[:most] if n <= SMALL else _by_tables(part, iou, most)
        kept.append(one + begin)
        begin += n
    return order[by_group[torch.cat(kept)].sort().values] if kept else order


def _by_tables(boxes: Tensor, iou: float, most: int | None) -> Tensor:
    """Positions, ascending, of what is kept of one group in order of score.

    A block is held against what has been kept before it, then against itself.
    """
    sides = boxes.T
    sides = torch.cat((sides, (sides[2:] - sides[:2]).prod(0, keepdim=True)))  # (5, N): x1, y1, x2, y2, area
    kept = torch.zeros(0, dtype=torch.int64, device=boxes.device)
    for begin in range(0, len(boxes), BLOCK):
        block = torch.arange(begin, min(begin + BLOCK, len(boxes)), device=boxes.device)
        for better in kept.split(TABLE) if begin else ():
            suppressed = _overlap(sides[:, better], sides[:, block], iou).view(torch.uint8).amax(0)  # any() is slower
            block = block[suppressed == 0]
        kept = torch.cat((kept, block[_greedy(sides[:, block], iou)]))
        if most is not None and len(kept) >= most:
            break
    return kept[:most]


def _greedy(sides: Tensor, iou: float) -> Tensor:
    """``(m,)`` bool: which boxes of a block ``(5, m)`` the rule keeps.

    A box is kept when no kept box before it overlaps it.  Starting from all, the rule is put to all boxes at once:
    after n rounds the first n are right at least, and when a round changes nothing all are; it takes a few.
    """
    table = _overlap(sides, sides, iou).triu_(1).float()  # (m, m): row suppresses column
    before, keep = table.new_zeros(len(table)), table.new_ones(len(table))
    while not torch.equal(keep, before):
        before, keep = keep, (keep @ table == 0).float()
    return keep.bool()


def _overlap(a: Tensor, b: Tensor, iou: float) -> Tensor:
    """``(n, m)`` bool: which of ``a`` ``(5, n)`` and ``b`` ``(5, m)`` overlap by more than ``iou``."""
    a = a[:, :, None]
    inter = torch.minimum(a[2], b[2]).sub_(torch.maximum(a[0], b[0])).clamp_(min=0)
    inter *= torch.minimum(a[3], b[3]).sub_(torch.maximum(a[1], b[1])).clamp_(min=0)
    return inter.div_((a[4] + b[4]).sub_(inter)) > iou  # two boxes without area: 0 / 0, which is not more
