"""Greedy suppression, to be read: one box after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from resdet.boxes.overlap import pairwise_iou


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float, most: int | None) -> Tensor:
    """See :func:`resdet.ops.batched_nms`."""
    boxes = boxes if boxes.dtype == torch.float64 else boxes.float()
    out = ~boxes.isfinite().all(1) | scores.isnan()
    kept: list[int] = []
    taken: dict[int, int] = {}  # how many of each group
    for i in scores.argsort(descending=True, stable=True).tolist():
        group = int(groups[i])
        if out[i] or taken.get(group, 0) == most:
            continue
        kept.append(i)
        taken[group] = taken.get(group, 0) + 1
        out = out | (groups == group) & (pairwise_iou(boxes[i : i + 1], boxes)[0] > iou)
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)
