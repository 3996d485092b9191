"""Boxes with names and scores drawn on an image, to be looked at by a person.

Lines and letters keep their share of the picture, so that a photograph of 4000 pixels reads as one of 400 does;
what is too small to be written on is enlarged first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from resdet.errors import InputError, UsageError
from resdet.report.lettering import drawable, fit, lettering_for, place, write
from resdet.structures import Detections

MIN_SIDE = 384  # pixels of the longer side: smaller pictures have no room for five names
JPEG_QUALITY = 92
# RGB, far from each other, and all bright: each is drawn over a dark edge and written on in dark ink
PALETTE = (
    (255, 96, 84),
    (64, 196, 255),
    (255, 206, 48),
    (102, 222, 120),
    (226, 134, 255),
    (255, 152, 56),
    (56, 226, 206),
    (255, 134, 184),
    (192, 226, 60),
    (146, 166, 255),
    (222, 184, 135),
    (176, 196, 212),
    (40, 248, 40),
    (140, 164, 68),
)
WHITE = (255, 255, 255)
EDGE = (20, 20, 20)


def draw(image: np.ndarray, detections: Detections, names: Sequence[str], truth: Tensor | None = None) -> np.ndarray:
    """A picture of an image with what was found in it; ``image`` itself stays as it is.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        detections: boxes in the image's pixels, in any order; the one that scores best is drawn on top.
        names: of the classes, by label; letters that OpenCV lacks become ``?``, and before its version 5 accents go.
        truth: ``(N, 4)`` true boxes, dashed in white.

    Returns:
        ``(f * H, f * W, 3)`` uint8 RGB for a whole number ``f``, 1 where the longer side has 384 pixels or more.
    """
    factor = -(-MIN_SIDE // max(image.shape[:2]))
    picture = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    found = detections[detections.scores.argsort(descending=True, stable=True)]
    colors = [PALETTE[label % len(PALETTE)] for label in found.labels.tolist()]
    corners = [_corners(box, picture) for box in (found.boxes * factor).tolist()]
    line = max(2, round(max(picture.shape[:2]) / 240))
    for rank, (x1, y1, x2, y2) in reversed(list(enumerate(corners))):
        width = line if rank == 0 else max(1, line // 2)  # the best stands out among five around one object
        for shade, thickness in ((EDGE, width + 2), (colors[rank], width)):
            cv2.rectangle(picture, (x1, y1), (x2, y2), shade, thickness, cv2.LINE_AA)
    for box in [] if truth is None else (truth * factor).tolist():
        _dashed(picture, _corners(box, picture), line)
    _write_names(picture, found, names, corners, colors)
    return picture


def fitted(picture: np.ndarray, side: int) -> np.ndarray:
    """``(H, W, 3)`` enlarged or made smaller, so that its longer side has ``side`` pixels."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, size, interpolation=how)


def check_ending(file: Path) -> None:
    """Make sure, before there is a picture, that :func:`save` can write one under this name.

    Raises:
        UsageError: it ends otherwise.
    """
    if not cv2.haveImageWriter(str(file)):
        raise UsageError(f"{file}: wanted a name that ends in .png or .jpg")


def save(file: Path, picture: np.ndarray) -> None:
    """Write ``(H, W, 3)`` uint8 RGB as the JPEG or PNG that the file's ending says, with the folders above it.

    Raises:
        InputError: OpenCV cannot write such a picture or ending.
    """
    is_jpeg = file.suffix.lower() in (".jpg", ".jpeg")
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if is_jpeg else []
    try:
        done, data = cv2.imencode(file.suffix, picture[:, :, ::-1], options)
    except cv2.error as error:
        raise InputError(f"{file}: cannot be written: {' '.join(str(error).split())}") from None
    if not done:
        raise InputError(f"{file}: a picture of {picture.shape[1]} x {picture.shape[0]} pixels cannot be written")
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")  # the file is whole when it is there
    part.write_bytes(data.tobytes())  # imwrite fails without a word, and on other than ASCII names on Windows
    part.replace(file)


def _write_names(
    picture: np.ndarray,
    found: Detections,
    names: Sequence[str],
    corners: Sequence[tuple[int, int, int, int]],
    colors: Sequence[tuple[int, int, int]],
) -> None:
    height, width = picture.shape[:2]
    letters = lettering_for(width, height)
    rows = zip(found.labels.tolist(), found.scores.tolist(), strict=True)
    texts = [fit(drawable(names[label]), f"{score:.2f}", letters, width) for label, score in rows]
    strips = place(texts, [(x1, y1) for x1, y1, _, _ in corners], letters, (width, height))
    for strip, color in list(zip(strips, colors, strict=True))[::-1]:
        write(picture, strip, letters, color)


def _corners(box: Sequence[float], picture: np.ndarray) -> tuple[int, int, int, int]:
    """The outermost pixels of a box, inside the picture, so that its lines show where it ends at the border."""
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = (round(edge) for edge in box)
    x1, y1 = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
    return x1, y1, max(x1, min(x2, width) - 1), max(y1, min(y2, height) - 1)


def _dashed(picture: np.ndarray, corners: tuple[int, int, int, int], line: int) -> None:
    x1, y1, x2, y2 = corners
    dash = 5 * line
    for shade, width in ((EDGE, line + 2), (WHITE, line)):
        for x in range(x1, x2 + 1, 2 * dash):
            for y in (y1, y2):
                cv2.line(picture, (x, y), (min(x + dash, x2), y), shade, width)
        for y in range(y1, y2 + 1, 2 * dash):
            for x in (x1, x2):
                cv2.line(picture, (x, y), (x, min(y + dash, y2)), shade, width)
