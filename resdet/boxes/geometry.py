"""The shape of boxes."""

from __future__ import annotations

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """``(..., 4)`` boxes -> ``(...,)`` square pixels; a box that is upside down has none."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Boxes cut at their image's edges; one that lies outside is flattened onto the edge.

    Args:
        boxes: ``(..., 4)``.
        sizes: ``(..., 2)`` width and height, broadcast against ``boxes[..., :2]``.
    """
    return torch.minimum(boxes.clamp(min=0), torch.cat((sizes, sizes), -1))


def grown(boxes: Tensor, factor: float) -> Tensor:
    """``(..., 4)`` boxes whose sides are ``factor`` times as long, about the same centres."""
    centres, half = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) * (factor / 2)
    return torch.cat((centres - half, centres + half), -1)
