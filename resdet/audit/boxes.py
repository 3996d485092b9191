"""Boxes as a file has them, what is wrong with each, and what it should have been."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from resdet.audit.findings import Box
from resdet.data.formats.inclusive import FARTHEST

SMALLEST_SIDE = 2.0  # pixels: one pixel is the trace of a click, and too thin for any anchor
ROUNDING = 0.01  # pixels: COCO's hundredths, added up
SAME_OBJECT = 0.9  # IoU: two boxes of one class that overlap so much are one object, drawn twice


class Frame(NamedTuple):
    """How a format counts pixels."""

    first_pixel: int  # what it calls the first column and row
    last_inside: int  # 1: its far edges are the last pixels inside, 0: the first outside

    def box(self, sides: Sequence[float]) -> Box:
        """The file's four numbers as xyxy in continuous pixels, its corners put in order."""
        x1, x2 = sorted((sides[0], sides[2]))
        y1, y2 = sorted((sides[1], sides[3]))
        near, far = -self.first_pixel, self.last_inside - self.first_pixel
        return x1 + near, y1 + near, x2 + far, y2 + far

    def sides(self, box: Box) -> Box:
        """The inverse, of a box in order."""
        near, far = self.first_pixel, self.first_pixel - self.last_inside
        return box[0] + near, box[1] + near, box[2] + far, box[3] + far


def as_numbers(words: Sequence[object]) -> Box | None:
    """Four finite numbers of pixels, None where the file has something else."""
    try:
        sides = tuple(float(word) for word in words)  # type: ignore[arg-type]  # what is none raises TypeError
    except (TypeError, ValueError, OverflowError):
        return None
    whole = len(sides) == 4 and all(math.isfinite(side) and abs(side) <= FARTHEST for side in sides)
    return sides if whole else None  # type: ignore[return-value]


def examine(sides: Box, frame: Frame, width: int, height: int) -> tuple[list[tuple[str, str]], Box | None]:
    """What is wrong with a box, as kinds and texts, and the box as it should be, None where there is nothing to keep.

    Args:
        sides: four finite numbers, as the file has them.
        width, height: of the image; 0 where they are not known.
    """
    written = f"({' '.join(f'{side:.10g}' for side in sides)})"
    found = []
    if sides[2] < sides[0] or sides[3] < sides[1]:
        found.append(("upside-down", f"the far edge of {written} comes before the near one"))
    box = frame.box(sides)
    if not _has_area(box):
        return [*found, ("no-area", f"{written} has no area")], None
    if width and (beyond := _beyond(box, width, height)) > ROUNDING:
        box = _clipped(box, width, height)
        inside = _has_area(box)
        how = f"reaches {beyond:.6g} pixels out of the image" if inside else "lies outside of the image"
        found.append(("outside", f"{written} {how}, which is {width} x {height}"))
        if not inside:
            return found, None
    if min(box[2] - box[0], box[3] - box[1]) < SMALLEST_SIDE:
        size = f"{box[2] - box[0]:.6g} x {box[3] - box[1]:.6g}"
        found.append(("small", f"{written} is {size} pixels large"))
    return found, box


def doubles(boxes: Sequence[tuple[str, Box]]) -> Iterator[tuple[int, int]]:
    """The pairs of boxes of one class that overlap as only two boxes of one object do, the earlier first."""
    for later, (name, box) in enumerate(boxes):
        for earlier in range(later):
            if boxes[earlier][0] == name and _iou(boxes[earlier][1], box) >= SAME_OBJECT:
                yield earlier, later


def turned(box: Box, width: int, height: int, orientation: int) -> Box:
    """A box drawn on the image as it is stored, on the upright one.

    Args:
        width, height: of the upright image.
        orientation: EXIF's 1 to 8.
    """
    x1, y1, x2, y2 = box
    if orientation >= 5:  # stored with columns for rows
        x1, y1, x2, y2 = y1, x1, y2, x2
    if orientation in (2, 3, 6, 7):
        x1, x2 = width - x2, width - x1
    if orientation in (3, 4, 7, 8):
        y1, y2 = height - y2, height - y1
    return x1, y1, x2, y2


def _has_area(box: Box) -> bool:
    return box[2] > box[0] and box[3] > box[1]


def _beyond(box: Box, width: int, height: int) -> float:
    """How far a box reaches out of the image, pixels."""
    return max(-box[0], -box[1], box[2] - width, box[3] - height)


def _clipped(box: Box, width: int, height: int) -> Box:
    x1, x2 = (min(max(x, 0.0), float(width)) for x in (box[0], box[2]))
    y1, y2 = (min(max(y, 0.0), float(height)) for y in (box[1], box[3]))
    return x1, y1, x2, y2


def _iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
