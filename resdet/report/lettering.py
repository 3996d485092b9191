"""Text on a picture: on filled strips that stay inside it and clear of each other."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
CAPITAL = 21.0  # pixels: height of this font's capitals at scale 1
INK = (16, 16, 16)  # on strips of the bright colours that boxes have
IS_UNICODE = int(cv2.__version__.partition(".")[0]) >= 5  # the font has outlines of most scripts, where it had strokes


class Strip(NamedTuple):
    """Where a text goes: the strip's corner and size in pixels of the picture."""

    text: str
    x: int
    y: int
    width: int
    height: int


class Lettering(NamedTuple):
    """How large letters are."""

    scale: float  # of the font
    thickness: int
    padding: int  # between letters and the strip's edge, pixels

    def width(self, text: str) -> int:
        """Of a strip with this text."""
        return cv2.getTextSize(text, FONT, self.scale, self.thickness)[0][0] + 2 * self.padding

    @property
    def height(self) -> int:
        """Of a strip: the letters with what hangs below their line."""
        return round(1.35 * CAPITAL * self.scale) + 2 * self.padding


def lettering_for(width: int, height: int) -> Lettering:
    """Letters for a picture of this size: capitals of about a 45th of its longer side, never under 9 pixels."""
    capital = max(9.0, max(width, height) / 45)
    return Lettering(capital / CAPITAL, max(1, round(capital / 10)), max(2, round(capital / 4)))


def drawable(text: str) -> str:
    """The text in the letters that this OpenCV has; from 5 on it draws ``?`` itself for those that it lacks."""
    if not IS_UNICODE:
        return writable(text)
    return "".join(letter if letter.isprintable() else "?" for letter in unicodedata.normalize("NFC", text))


def writable(text: str) -> str:
    """The text in the letters that OpenCV 4 has, which are ASCII: accents go, what is left over becomes ``?``."""
    plain = unicodedata.normalize("NFKD", text)
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return "".join(letter if " " <= letter <= "~" else "?" for letter in kept)


def fit(name: str, tail: str, letters: Lettering, width: int) -> str:
    """``name tail`` in at most ``width`` pixels: the name is cut where it is too long, the tail is kept whole."""
    text = f"{name} {tail}" if tail else name
    while letters.width(text) > width and len(name) > 1:
        name = name[:-1]
        text = f"{name.rstrip()}.. {tail}".rstrip()
    return text


def place(
    texts: Sequence[str], corners: Sequence[tuple[int, int]], letters: Lettering, size: tuple[int, int]
) -> list[Strip]:
    """A strip for each text, above its corner or as near to it as there is room.

    Args:
        texts: the most important first: it has the first choice.
        corners: top left ``(x, y)`` of the box that each text belongs to, in pixels.
        size: width and height of the picture; strips lie inside where the picture is large enough.
    """
    strips: list[Strip] = []
    for text, (x, y) in zip(texts, corners, strict=True):
        width, height = letters.width(text), letters.height
        wish = Strip(text, max(0, min(x, size[0] - width)), y - height if y >= height else y, width, height)
        below = [strip.y + strip.height + 1 for strip in strips]
        above = [strip.y - height - 1 for strip in strips]
        room = [wish._replace(y=at) for at in (wish.y, *below, *above) if 0 <= at <= size[1] - height]
        clear = [strip for strip in room if not any(_overlap(strip, other) for other in strips)]
        strips.append(min(clear or room or [wish], key=lambda strip: abs(strip.y - wish.y)))
    return strips


def write(picture: np.ndarray, strip: Strip, letters: Lettering, color: tuple[int, int, int]) -> None:
    """Fill the strip with ``color`` and write its text in dark ink, in place."""
    far_corner = (strip.x + strip.width - 1, strip.y + strip.height - 1)
    cv2.rectangle(picture, (strip.x, strip.y), far_corner, color, cv2.FILLED)
    line = strip.y + letters.padding + round(CAPITAL * letters.scale)
    where = (strip.x + letters.padding, line)
    cv2.putText(picture, strip.text, where, FONT, letters.scale, INK, letters.thickness, cv2.LINE_AA)


def _overlap(a: Strip, b: Strip) -> bool:
    apart = a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
    return not apart
