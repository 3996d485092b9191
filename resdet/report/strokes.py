"""Lines through points as a pen draws them: walked along, and cut into dashes."""

from __future__ import annotations

import math
from itertools import pairwise

Point = tuple[float, float]


def along(points: list[Point], step: float) -> list[Point]:
    """Points on the line, ``step`` apart at most, its corners among them."""
    walked = points[:1]
    for (x1, y1), (x2, y2) in pairwise(points):
        pieces = max(1, math.ceil(math.hypot(x2 - x1, y2 - y1) / step))
        walked += [(x1 + (x2 - x1) * i / pieces, y1 + (y2 - y1) * i / pieces) for i in range(1, pieces + 1)]
    return walked


def dashes(points: list[Point], length: float, gap: float) -> list[list[Point]]:
    """The line in pieces of ``length`` with gaps between, both measured along it, so that they go around corners."""
    pieces: list[list[Point]] = []
    drawing, left = True, length  # the pen is down, for so long
    current = points[:1]
    for here, end in pairwise(points):
        while (distance := math.dist(here, end)) > left:
            share = left / distance
            here = (here[0] + (end[0] - here[0]) * share, here[1] + (end[1] - here[1]) * share)
            if drawing:
                pieces.append([*current, here])
            drawing, left = not drawing, gap if drawing else length
            current = [here]
        left -= distance
        if drawing:
            current.append(end)
    if drawing and len(current) > 1:
        pieces.append(current)
    return pieces
