"""Greedy non-maximum suppression, with classes and images kept apart by their numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from resdet.ops.nms import op


def nms(boxes: Tensor, scores: Tensor, iou: float, most: int | None = None) -> Tensor:
    """Boxes that no better one overlaps; see :func:`batched_nms`, of which this is the case of one group."""
    return batched_nms(boxes, scores, torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device), iou, most)


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float, most: int | None = None) -> Tensor:
    """Boxes that no better one of their group overlaps by more than ``iou``, going from the best down.

    Groups are told apart by their numbers, not by moving boxes apart, so that any number of images, levels and
    classes goes in one call: ``group = image * classes + label``.

    Args:
        boxes: ``(N, 4)`` float, xyxy; half precision is computed in float32.
        scores: ``(N,)`` float, any range.
        groups: ``(N,)`` int64, any values.
        iou: intersection over union above which the lower of two boxes is suppressed, at least 0.
        most: keep this many of each group, the best of what is left; None: all.

    Returns:
        ``(n,)`` int64: indices of what is kept, over all groups, in descending score, the lower index first where
        scores are equal.  A box with a NaN score or a NaN or infinite corner is never kept and suppresses nothing;
        one that is empty or upside down overlaps nothing.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not boxes.is_floating_point():
        raise ValueError(f"boxes must be (N, 4) float rows of (x1, y1, x2, y2), got {boxes.dtype} {tuple(boxes.shape)}")
    for name, values in (("scores", scores), ("groups", groups)):
        if values.shape != boxes.shape[:1]:
            raise ValueError(f"{name} must be ({len(boxes)},) as boxes, got {tuple(values.shape)}")
        if values.device != boxes.device:
            raise ValueError(f"boxes are on {boxes.device}, {name} on {values.device}")
    if groups.dtype != torch.int64:
        raise ValueError(f"groups must be int64, got {groups.dtype}")
    if not iou >= 0:
        raise ValueError(f"iou must be a threshold of at least 0, got {iou}")
    if most is not None and most < 1:
        raise ValueError(f"most must be 1 or more boxes of each group, or None, got {most}")
    return op.run(boxes, scores, groups, float(iou), most)
