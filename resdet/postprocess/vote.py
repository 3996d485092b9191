"""Box voting: what non-maximum suppression kept is moved to the mean of what it suppressed."""

from __future__ import annotations

import torch
from torch import Tensor

from resdet.boxes.overlap import pairwise_iou


def vote(boxes: Tensor, scores: Tensor, groups: Tensor, kept: Tensor, iou: float) -> Tensor:
    """Where the kept boxes are when all boxes of their groups have voted (Gidaris & Komodakis 2015, Sec. 4.4; App. B).

    A kept box becomes the mean, weighted by score, of the boxes of its group that overlap it by ``iou`` or more,
    itself among them; its score is the caller's and stays.

    Args:
        boxes: ``(M, 4)`` before suppression.
        scores: ``(M,)`` not negative.
        groups: ``(M,)`` int64: only boxes of one group, a class in an image, know each other.
        kept: ``(N,)`` int64 rows of ``boxes``.

    Returns:
        ``(N, 4)``.
    """
    if not len(kept):
        return boxes[kept]
    voter, count = _members(groups, groups[kept])
    chair = kept.repeat_interleave(count, output_size=len(voter))
    near = pairwise_iou(boxes[chair, None], boxes[voter, None]).flatten() >= iou
    # a kept box votes even where its score is 0, or nothing is left to divide by
    weight = torch.where(voter == chair, scores[voter].clamp(min=1e-12), torch.where(near, scores[voter], 0))
    # runs are summed one after another, where index_add on a GPU would add in an order of its own each time
    ballots = torch.cat((weight[:, None] * boxes[voter], weight[:, None]), 1)  # (pairs, 5)
    total = torch.segment_reduce(ballots, "sum", lengths=count, axis=0, unsafe=True)  # unsafe: unchecked
    return total[:, :4] / total[:, 4:]


def _members(groups: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of ``groups`` in each wanted group, run after run, and ``(N,)`` how long each run is."""
    order = groups.argsort(stable=True)
    in_order = groups[order]
    first = torch.searchsorted(in_order, wanted)
    count = torch.searchsorted(in_order, wanted, right=True) - first
    total = int(count.sum())  # waits for the device, once
    shift = first - (count.cumsum(0) - count)  # from a pair's place in its run to that in the order
    place = torch.arange(total, device=groups.device) + shift.repeat_interleave(count, output_size=total)
    return order[place], count
