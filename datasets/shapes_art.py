"""Draws the pictures of the demo set: filled shapes on a textured ground, among outlines of other shapes.

Everything is drawn from one random generator, so that a picture depends on its seed and on nothing else.
Colours say nothing about the class: only the form does.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

FINE = 4  # drawn this many times finer, then averaged: smooth edges
SIDES = (0.1, 0.9)  # every box's sides, in sides of the image
MAX_RATIO = 3.0  # of a box's longer to its shorter side
LARGER = 0.4  # an image's first object has its longer side at 10 % + 80 % * uniform ** this
CONTRAST = 75.0  # at least, between any colour of a shape and any of the ground, in Lab units (0 .. 255 an axis)


Box = tuple[int, int, int, int]  # x1, y1, x2, y2, the last pixel included


class Picture(NamedTuple):
    """One picture and what is in it."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    masks: list[np.ndarray]  # (H, W) bool each: the pixels at least half covered by an object
    boxes: list[Box]  # tight around each mask


def draw_picture(name: str, size: int, rng: Generator) -> Picture:
    """Draw 1 to 3 shapes of class ``name``, apart from one another, into ``size x size`` pixels."""
    ground_colours = _colours_of_ground(rng)
    canvas = _texture(size, ground_colours, rng) + rng.normal(0, rng.uniform(0, 8), (size, size, 3))
    _draw_clutter(canvas, name, ground_colours, rng)
    masks: list[np.ndarray] = []
    for _ in range(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2])):
        cover = _fitting_cover(name, size, [tight_box(m) for m in masks], rng)
        if cover is not None:
            fill = _texture(size, _contrasting(ground_colours, rng), rng)
            canvas += cover[:, :, None] * (fill - canvas)
            masks.append(cover >= 0.5)
    image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    return Picture(image, masks, [tight_box(m) for m in masks])


def tight_box(mask: np.ndarray) -> Box:
    """The first and last column and row in which a ``(H, W)`` mask is set: x1, y1, x2, y2, inclusive."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


# Forms: closed lines, a second one being a hole.  Any frame will do, they are fitted to their box.


def _polygon(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, dtype=np.float64)


def _arc(radius: float, start: float, end: float, centre: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    angles = np.radians(np.linspace(start, end, 49))
    return np.column_stack([centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)])


def _star() -> np.ndarray:
    angles = np.radians(np.arange(10) * 36 - 90)
    radii = np.where(np.arange(10) % 2, 0.45, 1.0)
    return np.column_stack([radii * np.cos(angles), radii * np.sin(angles)])


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 64)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.column_stack([16 * np.sin(t) ** 3, -y])


def _plus() -> np.ndarray:
    a, b = 0.34, 1.0
    return _polygon(
        (-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)
    )


SQUARE = _polygon((-1, -1), (1, -1), (1, 1), (-1, 1))
FORMS: dict[str, tuple[np.ndarray, ...]] = {
    "arrow": (_polygon((-1, -0.3), (0.1, -0.3), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.3), (-1, 0.3)),),
    "bolt": (_polygon((0.2, -1), (-0.7, 0.15), (-0.05, 0.15), (-0.3, 1), (0.7, -0.3), (0.05, -0.3), (0.6, -1)),),
    "circle": (_arc(1, 0, 360),),
    "crescent": (np.vstack([_arc(1, 50, 310), _arc(0.83, 293, 67, (0.318, 0))]),),
    "cross": (_plus(),),
    "diamond": (_polygon((0, -1), (1, 0), (0, 1), (-1, 0)),),
    "drop": (np.vstack([_arc(0.7, -25, 205), _polygon((0, -1.3))]),),
    "frame": (SQUARE, 0.5 * SQUARE),
    "heart": (_heart(),),
    "hourglass": (_polygon((-0.8, -1), (0.8, -1), (0.15, 0), (0.8, 1), (-0.8, 1), (-0.15, 0)),),
    "ring": (_arc(1, 0, 360), _arc(0.52, 0, 360)),
    "square": (SQUARE,),
    "star": (_star(),),
    "triangle": (_polygon((0, -1), (1, 0.8), (-1, 0.8)),),
}
CLASSES = tuple(sorted(FORMS))
ANY_WAY_UP = {"arrow", "bolt", "crescent", "drop", "triangle"}
# an outline of the second looks like the first, filled
ALIKE = {"ring": {"circle", "ring"}, "frame": {"square", "frame"}}


def _placed(name: str, box: tuple[float, float, float, float], rng: Generator) -> list[np.ndarray]:
    """The lines of a form, tilted a little and fitted to a box, in the fine grid's pixels times 16 (cv2's shift)."""
    turn = np.radians(rng.uniform(-14, 14) + (90 * rng.integers(4) if name in ANY_WAY_UP else 0))
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    lines = [line @ rotation for line in FORMS[name]]
    low, high = lines[0].min(0), lines[0].max(0)  # the first line is the outer one
    corner, extent = np.array(box[:2]), np.array([box[2] - box[0], box[3] - box[1]])
    placed = [(line - low) / (high - low) * extent + corner for line in lines]
    return [np.rint((line * FINE - 0.5) * 16).astype(np.int32) for line in placed]


def _cover(name: str, box: tuple[float, float, float, float], size: int, rng: Generator) -> np.ndarray:
    """``(H, W)`` float: the share of each pixel that the filled form covers."""
    fine = np.zeros((size * FINE, size * FINE), np.uint8)
    cv2.fillPoly(fine, _placed(name, box, rng), 255, cv2.LINE_8, 4)
    return cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA) / 255.0


def _draw_clutter(canvas: np.ndarray, name: str, ground: np.ndarray, rng: Generator) -> None:
    """Outlines of other forms, anywhere, also cut by the border."""
    size = len(canvas)
    others = sorted(set(CLASSES) - {name} - ALIKE.get(name, set()))
    for _ in range(rng.integers(2, 7)):
        width, height = size * rng.uniform(0.12, 0.6, 2)
        x, y = rng.uniform(-0.2, 1.0, 2) * size
        lines = _placed(rng.choice(others), (x, y, x + width, y + height), rng)
        fine = np.zeros((size * FINE, size * FINE), np.uint8)
        cv2.polylines(fine, lines, True, 255, round(FINE * size / 64 * rng.uniform(0.6, 1.3)), cv2.LINE_8, 4)
        cover = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)[:, :, None] / 255.0
        canvas += cover * rng.uniform(0.5, 0.9) * (_contrasting(ground, rng)[0] - canvas)


def _fitting_cover(name: str, size: int, taken: list[Box], rng: Generator) -> np.ndarray | None:
    """The cover of one more object; None where there is no room for it among those that are there."""
    for _ in range(20):
        place = _random_place(size, 1.0 if taken else LARGER, rng)
        if not any(_near(place, box) for box in taken):
            cover = _cover(name, place, size, rng)
            mask = cover >= 0.5  # without thin ends of less than half a pixel
            if mask.any() and _is_wanted(tight_box(mask), size):
                return cover
    return None


def _random_place(size: int, larger: float, rng: Generator) -> tuple[float, float, float, float]:
    """A box inside the image; ``larger`` below 1 makes large ones more frequent."""
    smallest, largest = SIDES
    long = smallest + (largest - smallest) * rng.uniform() ** larger
    short = max(smallest, long * MAX_RATIO ** -rng.uniform())
    width, height = size * np.array((long, short) if rng.uniform() < 0.5 else (short, long))
    x, y = rng.uniform(1, size - 1 - width), rng.uniform(1, size - 1 - height)
    return x, y, x + width, y + height


def _near(place: tuple[float, float, float, float], box: Box) -> bool:
    """Less than two pixels apart, or overlapping."""
    x1, y1, x2, y2 = place
    return x1 < box[2] + 3 and x2 > box[0] - 2 and y1 < box[3] + 3 and y2 > box[1] - 2


def _is_wanted(box: Box, size: int) -> bool:
    width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
    sides = SIDES[0] * size <= min(width, height) and max(width, height) <= SIDES[1] * size
    return sides and max(width, height) <= MAX_RATIO * min(width, height)


# Colours and textures: (n, 3) float RGB, 0 .. 255.


def _random_colour(rng: Generator, saturation: tuple[float, float], value: tuple[float, float]) -> np.ndarray:
    hsv = np.array([[[rng.uniform(0, 360), rng.uniform(*saturation), rng.uniform(*value)]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64) * 255


def _colours_of_ground(rng: Generator) -> np.ndarray:
    """Two muted colours not far from one another."""
    first = _random_colour(rng, (0.05, 0.5), (0.15, 0.95))
    return np.clip(np.stack([first, first + rng.uniform(-55, 55, 3)]), 0, 255)


def _contrasting(ground: np.ndarray, rng: Generator) -> np.ndarray:
    """Two colours of one kind that differ from both of the ground's by :data:`CONTRAST` at least."""
    first = _random_colour(rng, (0.2, 1.0), (0.1, 1.0))
    while not _stands_out(first, ground):
        first = _random_colour(rng, (0.2, 1.0), (0.1, 1.0))
    second = np.clip(first + rng.uniform(-110, 110, 3), 0, 255)
    return np.stack([first, second if _stands_out(second, ground) else first])


def _stands_out(colour: np.ndarray, ground: np.ndarray) -> bool:
    return bool(np.linalg.norm(_lab(ground) - _lab(colour[None]), axis=1).min() >= CONTRAST)


def _lab(colours: np.ndarray) -> np.ndarray:
    rgb = (colours[None] / 255).astype(np.float32)
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)[0] * (2.55, 1, 1)  # L goes to 100, a and b to about 127


def _texture(size: int, colours: np.ndarray, rng: Generator) -> np.ndarray:
    """``(H, W, 3)`` float: two colours mixed by a random pattern."""
    y, x = np.mgrid[:size, :size] / size
    angle, waves = rng.uniform(0, 2 * np.pi), rng.uniform(2, 9)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kind = rng.integers(5)
    if kind == 0:
        mix = np.zeros((size, size))
    elif kind == 1:  # gradient
        mix = (along - along.min()) / np.ptp(along)
    elif kind == 2:  # stripes
        mix = np.clip(0.5 + 2 * np.sin(2 * np.pi * waves * along), 0, 1)
    elif kind == 3:  # checks
        mix = np.clip(0.5 + 4 * np.sin(np.pi * waves * along) * np.sin(np.pi * waves * across), 0, 1)
    else:  # clouds
        coarse = rng.uniform(0, 1, (rng.integers(3, 12), rng.integers(3, 12)))
        mix = np.clip(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), 0, 1)
    return colours[0] + mix[:, :, None] * (colours[1] - colours[0])
