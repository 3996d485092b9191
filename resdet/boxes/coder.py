"""Boxes as deltas from other boxes, Faster R-CNN's code: ``tx = (x - xa) / wa, tw = log(w / wa)``, x the centre."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import mul, truediv
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
    (centre, sides), (from_, own) = _centres(boxes), _centres(anchors)
    moves, growth = (centre - from_) / own, (sides / own).log()
    return torch.cat((_each(truediv, moves, units.x, units.y), _each(truediv, growth, units.w, units.h)), -1)


def decode(deltas: Tensor, anchors: Tensor, units: Units = PLAIN) -> Tensor:
    """The boxes that deltas make of anchors, ``(..., 4)`` xyxy; sides grow at most 62.5-fold."""
    moves, growth = _each(mul, deltas[..., :2], units.x, units.y), _each(mul, deltas[..., 2:], units.w, units.h)
    centre, sides = _centres(anchors)
    centre = centre + moves * sides
    half = 0.5 * sides * growth.clamp(max=LARGEST_LOG_SCALE).exp()
    return torch.cat((centre - half, centre + half), -1)


def _centres(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Centres ``(..., 2)`` and sides ``(..., 2)``: both axes at once, since on a GPU it is launches that take time."""
    upper, lower = boxes[..., :2], boxes[..., 2:]
    return (upper + lower) / 2, (lower - upper).clamp(min=1e-3)


def _each(how: Callable[[Tensor, float], Tensor], pairs: Tensor, first: float, second: float) -> Tensor:
    """``(..., 2)``, each column multiplied or divided by its number."""
    if first == second:
        return pairs if first == 1 else how(pairs, first)
    return torch.stack((how(pairs[..., 0], first), how(pairs[..., 1], second)), -1)
