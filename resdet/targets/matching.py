"""Which anchors are objects and which are background (Faster R-CNN, Sec. 3.1.2)."""

from __future__ import annotations

import torch
from torch import Tensor

OBJECT, BACKGROUND, IGNORED = 1, 0, -1


def match(iou: Tensor, present: Tensor, positive: float, negative: float) -> tuple[Tensor, Tensor, Tensor]:
    """Give each anchor its box and a label.

    An anchor is an object when it overlaps some box by ``positive`` or more, or when no other anchor overlaps a
    box more than it does (ties all count); background when it overlaps every box by less than ``negative``.
    Objects win a conflict.  Example, positive 0.7, negative 0.3: overlaps (0.9, 0.5, 0.1) with the one box give
    the labels (1, -1, 0); (0.5, 0.4, 0.1) give (1, -1, 0), the best anchor taking the box that none else would.

    Args:
        iou: ``(B, P, G)`` of P anchors with G boxes, padding included.
        present: ``(B, G)`` bool: which boxes are not padding.

    Returns:
        index ``(B, P)`` int64 of each anchor's best box; label ``(B, P)`` int64 in {1, 0, -1}; and the overlap
        ``(B, P)`` with that box, 0 where an image has none.
    """
    batch, anchors, boxes = iou.shape
    if boxes == 0:
        none = iou.new_zeros(batch, anchors)
        return none.long(), none.long(), none
    iou = iou.masked_fill(~present[:, None, :], 0.0)
    best, index = iou.max(2)  # (B, P)
    label = torch.full_like(index, IGNORED)
    label[best < negative] = BACKGROUND
    highest = iou.max(1, keepdim=True).values  # (B, 1, G)
    is_best = ((iou == highest) & (iou > 0)).any(2)  # (B, P)
    label[is_best | (best >= positive)] = OBJECT
    return index, label, best
