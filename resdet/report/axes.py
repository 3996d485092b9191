"""Curves over axes, drawn with OpenCV: a panel of them, and a page of panels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from resdet.report.lettering import CAPITAL, FONT, drawable
from resdet.report.strokes import along, dashes

Color = tuple[int, int, int]
FINE = 2  # everything is drawn so many times as large and shrunk, which smooths it
INK, GRID, WHITE = (40, 40, 40), (226, 226, 226), (255, 255, 255)
# dark enough for white paper, and apart for eyes that take red for green (Okabe and Ito)
COLORS: tuple[Color, ...] = (
    *((0, 114, 178), (213, 94, 0), (0, 140, 105), (170, 85, 150), (200, 140, 0), (86, 86, 86)),
    *((102, 184, 232), (245, 158, 107), (102, 200, 165), (222, 158, 206), (235, 200, 90), (170, 170, 170)),  # lighter
)
LEFT, RIGHT, TOP, BOTTOM = 60, 16, 36, 50  # pixels around the axes
SMALL, LARGE = 9, 11  # height of capitals, pixels
LINE = 19  # from one line of the legend to the next, pixels


@dataclass(frozen=True)
class Curve:
    """A line through points.  One without points is in the legend alone."""

    name: str  # in the legend; empty: it is not there
    x: tuple[float, ...]
    y: tuple[float, ...]  # NaN: a gap
    color: Color = INK
    dashed: bool = False
    thickness: float = 2.0  # pixels


@dataclass(frozen=True)
class Panel:
    """Axes with what they show."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    y_range: tuple[float, float] | None = None  # what lies outside is cut off; None: as far as the curves reach
    x_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Scale:
    """Values along one axis, and where they lie on it."""

    low: float
    high: float
    start: float  # pixel of `low`
    end: float  # pixel of `high`

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def page(panels: Sequence[Panel], columns: int, width: int = 480, height: int = 360) -> np.ndarray:
    """Panels in rows of ``columns``, each ``width x height`` pixels: ``(H, W, 3)`` uint8 RGB.

    Raises:
        ValueError: no panels.
    """
    if not panels:
        raise ValueError("a page needs at least one panel")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, dtype=np.uint8)
    for place, panel in enumerate(panels):
        y, x = place // columns * height, place % columns * width
        sheet[y : y + height, x : x + width] = draw(panel, width, height)
    return sheet


def draw(panel: Panel, width: int, height: int) -> np.ndarray:
    """One panel: ``(height, width, 3)`` uint8 RGB."""
    picture = np.full((height * FINE, width * FINE, 3), 255, dtype=np.uint8)
    xs = _scale([v for c in panel.curves for v in c.x], panel.x_range, LEFT, width - RIGHT)
    ys = _scale([v for c in panel.curves for v in c.y], panel.y_range, height - BOTTOM, TOP)
    _axes(picture, panel, xs, ys)
    inside = picture[TOP * FINE : (height - BOTTOM) * FINE, LEFT * FINE : (width - RIGHT) * FINE]
    for curve in panel.curves:
        _line(inside, curve, xs, ys)
    _legend(picture, panel, xs, ys)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values from ``low`` to ``high``, at most ``most``: steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power * m for m in (1, 2, 5, 10, 20)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            return [step * i for i in range(first, last + 1)]
    raise AssertionError("the largest step leaves one value")


def _scale(values: list[float], wanted: tuple[float, float] | None, start: float, end: float) -> Scale:
    known = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = wanted or (min(known), max(known))
    if low == high:
        low, high = low - 0.5, high + 0.5
    if wanted is None and start > end:  # along y there is a margin between a curve and the frame
        low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
    return Scale(low, high, start, end)


def _axes(picture: np.ndarray, panel: Panel, xs: Scale, ys: Scale) -> None:
    for value in ticks(xs.low, xs.high):
        _segment(picture, (xs.at(value), ys.start), (xs.at(value), ys.end), GRID)
        _text(picture, f"{value:.6g}", xs.at(value), ys.start + 8 + SMALL, SMALL, "middle")
    for value in ticks(ys.low, ys.high):
        _segment(picture, (xs.start, ys.at(value)), (xs.end, ys.at(value)), GRID)
        _text(picture, f"{value:.6g}", xs.start - 7, ys.at(value) + SMALL / 2, SMALL, "right")
    corners = [(round(x * FINE), round(y * FINE)) for x, y in ((xs.start, ys.end), (xs.end, ys.start))]
    cv2.rectangle(picture, *corners, INK, FINE)
    middle = (xs.start + xs.end) / 2
    _text(picture, panel.title, middle, TOP - 12, LARGE, "middle", bold=True)
    _text(picture, panel.x_label, middle, ys.start + 20 + 2 * SMALL + 2, SMALL + 1, "middle")
    sideways = np.rot90(picture, -1).copy()  # of it, the left edge is the top
    _text(sideways, panel.y_label, picture.shape[0] / FINE - (ys.start + ys.end) / 2, 8 + SMALL, SMALL + 1, "middle")
    picture[:] = np.rot90(sideways)


def _line(inside: np.ndarray, curve: Curve, xs: Scale, ys: Scale) -> None:
    """Draw on the part of the picture that the axes enclose, which cuts off what lies outside."""
    for run in _unbroken(curve):
        points = [((xs.at(x) - xs.start) * FINE, (ys.at(y) - ys.end) * FINE) for x, y in run]
        _stroke(inside, points, curve)


def _unbroken(curve: Curve) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(curve.x, curve.y, strict=True):
        if math.isfinite(x) and math.isfinite(y):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _stroke(picture: np.ndarray, points: list[tuple[float, float]], curve: Curve) -> None:
    thickness = max(1, round(curve.thickness * FINE))
    if len(points) == 1:
        x, y = points[0]
        cv2.circle(picture, (round(x), round(y)), thickness, curve.color, cv2.FILLED, cv2.LINE_AA)
    pieces = dashes(points, 6 * FINE, 4 * FINE) if curve.dashed else [points]
    for piece in pieces:
        corners = np.array(piece).round().astype(np.int32)
        cv2.polylines(picture, [corners], False, curve.color, thickness, cv2.LINE_AA)


def _legend(picture: np.ndarray, panel: Panel, xs: Scale, ys: Scale) -> None:
    """In the corner where it hides the least of the curves."""
    rows = [curve for curve in panel.curves if curve.name]
    if not rows:
        return
    names = [_ending(curve.name, SMALL, xs.end - xs.start - 70) for curve in rows]
    width = 54 + max(_width(name, SMALL) for name in names)
    height = LINE * len(rows) + 8
    runs = ([(xs.at(x), ys.at(y)) for x, y in run] for curve in panel.curves for run in _unbroken(curve))
    points = [point for run in runs for point in along(run, 4.0)]

    def hidden(corner: tuple[float, float]) -> int:
        return sum(0 <= x - corner[0] <= width and 0 <= y - corner[1] <= height for x, y in points)

    corners = [(x, y) for y in (ys.end + 8, ys.start - 8 - height) for x in (xs.end - 8 - width, xs.start + 8)]
    left, top = min(corners, key=hidden)
    box = [(round(x * FINE), round(y * FINE)) for x, y in ((left, top), (left + width, top + height))]
    cv2.rectangle(picture, *box, WHITE, cv2.FILLED)
    cv2.rectangle(picture, *box, GRID, FINE)
    for number, (name, curve) in enumerate(zip(names, rows, strict=True)):
        y = top + 4 + LINE * (number + 0.5)
        _stroke(picture, [((left + 8) * FINE, y * FINE), ((left + 38) * FINE, y * FINE)], curve)
        _text(picture, name, left + 46, y + SMALL / 2, SMALL, "left")


def _segment(picture: np.ndarray, a: tuple[float, float], b: tuple[float, float], color: Color) -> None:
    ends = [(round(x * FINE), round(y * FINE)) for x, y in (a, b)]
    cv2.line(picture, *ends, color, FINE)


def _text(
    picture: np.ndarray, text: str, x: float, y: float, capital: float, anchor: str, *, bold: bool = False
) -> None:
    """Write on a line at ``y``, to the right of ``x``, to its left, or around it."""
    text = drawable(text)
    start = x - {"left": 0.0, "middle": 0.5, "right": 1.0}[anchor] * _width(text, capital)
    where = (round(start * FINE), round(y * FINE))
    thickness = FINE + 1 if bold else FINE
    cv2.putText(picture, text, where, FONT, capital * FINE / CAPITAL, INK, thickness, cv2.LINE_AA)


def _ending(name: str, capital: float, width: float) -> str:
    """The name, or what of its end goes into ``width`` pixels: paths differ there rather than where they begin."""
    kept = name
    while _width(kept, capital) > width and len(name) > 1:
        name = name[1:]
        kept = f"..{name}"
    return kept


def _width(text: str, capital: float) -> float:
    return cv2.getTextSize(drawable(text), FONT, capital * FINE / CAPITAL, FINE)[0][0] / FINE
