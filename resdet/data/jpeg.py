"""Plain JPEG files through OpenCV: whole, down to a row, or at a half, a quarter or an eighth of their size.

Two thirds of the time goes into the entropy code, which can only be read from the top: a view that ends in the middle
of a photograph saves what is below it (500x375 at 110 kB: 1.29 ms whole, 1.02 down to three quarters), and a smaller
decode saves what is not entropy code (2000x1500 at 400 kB: 7.9 ms whole, 5.4 at a half, 4.6 at a quarter).
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

SHRINKS = (8, 4, 2)  # what libjpeg's inverse transform can leave out of each block of 8 x 8, but for 1
_FLAGS = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
}


class Jpeg(NamedTuple):
    """The header of a whole 8-bit grey or YCbCr JPEG without EXIF or XMP, which could turn it."""

    width: int
    height: int
    height_at: int  # where in the file the height stands, two bytes
    end: int  # where the end-of-image marker stands
    block: int  # rows that are coded together; 0: the rows do not come one after another (progressive, several scans)


def read_header(data: bytes) -> Jpeg | None:
    """What :func:`decode` needs to know of a file; None for anything but a plain JPEG with its end in place."""
    at, frame, restarts = 2, 0, False
    while data[:2] == b"\xff\xd8" and at + 9 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker == 0xE1:  # APP1 may turn the image
            return None
        if marker in (0xC0, 0xC1, 0xC2) and data[at + 4] == 8 and data[at + 9] in (1, 3):
            frame = at
        restarts |= marker == 0xDD
        if marker == 0xDA:  # the pixels: OpenCV paints what is missing grey, so the end-of-image marker has to be there
            end = data.rfind(b"\xff\xd9", at)
            return _header(data, frame, at, end, restarts) if frame and end >= 0 else None
        at += 2 + length
    return None


def _header(data: bytes, frame: int, scan: int, end: int, restarts: bool) -> Jpeg:
    height, width = (int.from_bytes(data[at : at + 2]) for at in (frame + 5, frame + 7))
    components = data[frame + 9]
    in_order = data[frame + 1] != 0xC2 and data[scan + 4] == components and not restarts
    if in_order:  # its own end, where another picture comes after it: no other such bytes are in the one scan's code
        end = _first_end(data, scan)
    tallest = max(data[frame + 11 + 3 * i] & 15 for i in range(components))  # blocks of a component, one above another
    return Jpeg(width, height, frame + 5, end, 8 * tallest if in_order else 0)


def _first_end(data: bytes, scan: int) -> int:
    """Where the first end-of-image marker stands behind ``scan``, of which there is one.

    By pairs of bytes that begin at even and at odd places: 5 us for 90 kB, where ``bytes.find`` takes 76.
    """
    found = []
    for first in (scan, scan + 1):
        is_end = np.frombuffer(data, "<u2", count=(len(data) - first) // 2, offset=first) == 0xD9FF
        if is_end.any():
            found.append(first + 2 * int(is_end.argmax()))
    return min(found)


def decode(data: bytes, header: Jpeg, rows: int = 0, shrink: int = 1) -> np.ndarray | None:
    """The pixels of a file, or of its upper part: the rows that were asked for are the whole image's, bit for bit.

    Args:
        rows: how many are wanted; more may come, of which the last may differ.  0: all.
        shrink: 1, or one of :data:`SHRINKS`: the picture is that many times smaller, each pixel very nearly the mean
            of ``shrink x shrink`` (``tests/data/test_jpeg.py`` holds it to 1 level of 255 in the mean).

    Returns:
        ``(>= rows / shrink, width / shrink, 3)`` uint8 RGB, sizes rounded up; None where OpenCV does not take the file.
    """
    part = _upper_part(data, header, rows) if header.block and rows else None
    pixels = cv2.imdecode(part, _FLAGS[shrink]) if part is not None else None
    return cv2.imdecode(np.frombuffer(data, dtype=np.uint8), _FLAGS[shrink]) if pixels is None else pixels


def _upper_part(data: bytes, header: Jpeg, rows: int) -> np.ndarray | None:
    """The file with a smaller height written into it; None where that saves too little.

    The marker at the end is cut off: libjpeg, done with the rows, looks for the next marker, and would print that
    there were bytes before it.  It finds the end of the data, which for OpenCV's reader is no reason to complain.
    """
    # one row more, whose colours are mixed into the last one's where they are coded at half the resolution
    height = -(-(rows + 1) // header.block) * header.block
    if height + 2 * header.block > header.height:
        return None
    part = np.frombuffer(data, dtype=np.uint8, count=header.end).copy()
    part[header.height_at : header.height_at + 2] = divmod(height, 256)
    return part
