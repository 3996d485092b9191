"""How much boxes overlap."""

from __future__ import annotations

import torch
from torch import Tensor

from resdet.boxes.geometry import area


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every box in ``a`` with every box in ``b``.

    Args:
        a: ``(..., N, 4)`` float, xyxy pixels.
        b: ``(..., M, 4)`` float, same frame as ``a``, leading dimensions broadcast.

    Returns:
        ``(..., N, M)`` in [0, 1].  A pair with an empty union scores 0, never NaN, so that a degenerate box can
        be ranked and dropped instead of poisoning a loss.
    """
    intersection = _pairwise_intersection(a, b)  # (..., N, M)
    union = area(a)[..., :, None] + area(b)[..., None, :] - intersection  # (..., N, M)
    return torch.where(union > 0, intersection / union.clamp(min=1e-12), 0.0)


def pairwise_cover(a: Tensor, b: Tensor) -> Tensor:
    """How much of every box in ``a`` lies in every box in ``b``, as a share of the former (COCO's overlap with crowds).

    Shapes as in :func:`pairwise_iou`; a box without an area is covered by nothing.
    """
    own = area(a)[..., :, None]
    return torch.where(own > 0, _pairwise_intersection(a, b) / own.clamp(min=1e-12), 0.0)


def _pairwise_intersection(a: Tensor, b: Tensor) -> Tensor:
    top_left = torch.maximum(a[..., :, None, :2], b[..., None, :, :2])  # (..., N, M, 2)
    bottom_right = torch.minimum(a[..., :, None, 2:], b[..., None, :, 2:])  # (..., N, M, 2)
    return (bottom_right - top_left).clamp(min=0).prod(-1)
