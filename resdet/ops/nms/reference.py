"""Greedy suppression, to be read: one box after the other."""

from __future__ import annotations

import torch
from torch import Tensor


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float, most: int | None) -> Tensor:
    """See :func:`resdet.ops.batched_nms`."""
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32))
    out = ~boxes.isfinite().all(1) | scores.isnan()
    kept: list[int] = []
    taken: dict[int, int] = {}  # how many of each group
    for i in scores.argsort(descending=True, stable=True).tolist():
        group = int(groups[i])
        if out[i] or taken.get(group, 0) == most:
            continue
        kept.append(i)
        taken[group] = taken.get(group, 0) + 1
        out = out | (groups == group) & (_iou_with(boxes[i], boxes) > iou)
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)


def _iou_with(box: Tensor, boxes: Tensor) -> Tensor:
    """IoU ``(N,)`` of one box with many.

    The arithmetic that all paths share, so that they agree to the last bit on which side of a threshold a pair is.
    Of an upside-down box the intersection is 0 and so is this; of two without area it is NaN, which exceeds nothing.
    """
    sides = (torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2])).clamp(min=0)
    inter = sides[:, 0] * sides[:, 1]
    area, areas = (box[2] - box[0]) * (box[3] - box[1]), (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return inter / (area + areas - inter)
