"""Boxes as files write them: the first and the last pixel of each axis, both inside."""

from __future__ import annotations

import math
from collections.abc import Sequence

from resdet.errors import InputError

SIDES = ("xmin", "ymin", "xmax", "ymax")
FARTHEST = 2.0**24  # pixels; up to here float32 tells one pixel from the next, and no image is as large


def read_box(
    words: Sequence[str | None], place: str, first_pixel: int, *, any_corners: bool = False
) -> tuple[float, float, float, float]:
    """Turn ``xmin ymin xmax ymax``, inclusive, into xyxy in continuous pixels that begin at 0.

    Args:
        words: the four numbers as the file has them.
        place: what an error is to name: the file, and the line or object.
        first_pixel: what the file calls the first column and row: 0 for ILSVRC, 1 for VOC.
        any_corners: of a box that is upside down the two corners are put in order.

    Raises:
        InputError: not four numbers below :data:`FARTHEST`, or upside down.  One pixel (xmin = xmax) is a box.
    """
    if len(words) != 4:
        raise InputError(f"{place}: wanted four numbers {' '.join(SIDES)}, got {len(words)}")
    x1, y1, x2, y2 = (_number(word, f"{place}: {side}") for word, side in zip(words, SIDES, strict=True))
    for axis, low, high in (("x", x1, x2), ("y", y1, y2)):
        if high < low and not any_corners:
            raise InputError(f"{place}: the box is upside down: {axis}max {high:g} is less than {axis}min {low:g}")
    (x1, x2), (y1, y2) = sorted((x1, x2)), sorted((y1, y2))
    # the last pixel is inside, so the box's far edge is one further
    return x1 - first_pixel, y1 - first_pixel, x2 + 1 - first_pixel, y2 + 1 - first_pixel


def _number(word: str | None, place: str) -> float:
    try:
        number = float("" if not word or "_" in word else word)  # Python takes 1_3 for a number, others do not
    except ValueError:
        raise InputError(f"{place}: wanted a number, got {word!r}") from None
    if not math.isfinite(number):
        raise InputError(f"{place}: wanted a finite number, got {word!r}")
    if abs(number) > FARTHEST:
        raise InputError(f"{place}: wanted pixels, got {word!r}, which no image has")
    return number
