"""Boxes as deltas from other boxes, Faster R-CNN's code: ``tx = (x - xa) / wa, tw = log(w / wa)``, x the centre."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Units(NamedTuple):
    """What the four deltas are counted in; a network's outputs are then all of about the same size."""

    x: float = 1.0
    y: float = 1.0
    w: float = 1.0
    h: float = 1.0


PLAIN = Units()  # anchors' deltas
REGION = Units(0.1, 0.1, 0.2, 0.2)  # regions' deltas: their standard deviations in py-faster-rcnn, end to end
LARGEST_LOG_SCALE = math.log(1000 / 16)  # a wild delta must not overflow exp; Detectron's bound


def encode(boxes: Tensor, anchors: Tensor, units: Units = PLAIN) -> Tensor:
    """The deltas that turn anchors into boxes: ``decode(encode(b, a, u), a, u) == b``.

    Args:
        boxes: ``(..., 4)`` xyxy with positive sides.
        anchors: ``(..., 4)`` xyxy with positive sides, broadcast against ``boxes``.

    Returns:
        ``(..., 4)`` rows of (tx, ty, tw, th); sides below 1e-3 pixels count as 1e-3, so that all are finite.
    """
    (x, y, w, h), (xa, ya, wa, ha) = _centres(boxes), _centres(anchors)
    tx, ty, tw, th = (x - xa) / wa, (y - ya) / ha, (w / wa).log(), (h / ha).log()
    return torch.stack((tx / units.x, ty / units.y, tw / units.w, th / units.h), -1)


def decode(deltas: Tensor, anchors: Tensor, units: Units = PLAIN) -> Tensor:
    """The boxes that deltas make of anchors, ``(..., 4)`` xyxy; sides grow at most 62.5-fold."""
    tx, ty, tw, th = (delta * unit for delta, unit in zip(deltas.unbind(-1), units, strict=True))
    xa, ya, wa, ha = _centres(anchors)
    x, y = xa + tx * wa, ya + ty * ha
    half_w = 0.5 * wa * tw.clamp(max=LARGEST_LOG_SCALE).exp()
    half_h = 0.5 * ha * th.clamp(max=LARGEST_LOG_SCALE).exp()
    return torch.stack((x - half_w, y - half_h, x + half_w, y + half_h), -1)


def _centres(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1).clamp(min=1e-3), (y2 - y1).clamp(min=1e-3)
