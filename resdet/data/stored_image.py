"""An image before it is decoded: its size is known, so that the view can be chosen first, and only that be decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from resdet.data import jpeg
from resdet.data.image import check_size, decode_with_pil, read_bytes
from resdet.data.views import cut
from resdet.errors import InputError
from resdet.structures import View

WHITE = (255, 255, 255)


@dataclass(frozen=True)
class StoredImage:
    """An image whose file has been read and may still have to be decoded."""

    width: int  # of the upright image
    height: int
    file: Path  # where it is from, for messages
    pixels: np.ndarray | None = None  # (H, W, 3) uint8 RGB where they are there already
    data: bytes = b""  # else the file
    header: jpeg.Jpeg | None = None

    def view(self, view: View, fill: Sequence[float] = WHITE, *, exact: bool = True) -> np.ndarray:
        """The pixels of one view, as :func:`resdet.data.views.cut` cuts it.

        Args:
            fill: the colour around the image, where the view reaches outside it.
            exact: decode at full size; otherwise at the smallest that the view needs, see :func:`shrink_of`, which for
                large photographs saves up to half the time.

        Raises:
            InputError: the file cannot be decoded.
        """
        shrink = 1 if exact or self.header is None else shrink_of(view)
        pixels = self._decoded(min(view.window[3], self.height), shrink)
        if shrink > 1:
            x1, y1, x2, y2 = (side // shrink for side in view.window)
            view = replace(view, window=(x1, y1, x2, y2))
        return cut(pixels, view, fill)

    def views(self, views: Sequence[View]) -> tuple[np.ndarray, ...]:
        """The pixels of several views, decoded once."""
        if not views:
            return ()
        pixels = self._decoded(min(max(view.window[3] for view in views), self.height), 1)
        return tuple(cut(pixels, view) for view in views)

    def _decoded(self, rows: int, shrink: int) -> np.ndarray:
        if self.pixels is not None:
            return self.pixels
        assert self.header is not None  # there is either
        pixels = jpeg.decode(self.data, self.header, rows, shrink)
        if pixels is not None:
            return pixels
        whole = decode_with_pil(self.file, self.data)  # what OpenCV does not take, PIL may, or it has the better reason
        return np.ascontiguousarray(whole[::shrink, ::shrink])


def open_image(image: Path | StoredImage) -> StoredImage:
    """Read a file, and decode it now if that cannot be put off; a :class:`StoredImage` is returned as it is.

    Raises:
        InputError: as :func:`resdet.data.image.load_image`, but for damage that decoding will find.
    """
    if isinstance(image, StoredImage):
        return image
    data = read_bytes(image)
    header = jpeg.read_header(data)
    if header is None:
        return of_pixels(decode_with_pil(image, data), image)
    if not header.width or not header.height:
        raise InputError(f"{image}: wanted an image, its header says {header.width} x {header.height} pixels")
    check_size(image, header.width, header.height)
    return StoredImage(header.width, header.height, image, data=data, header=header)


def of_pixels(pixels: np.ndarray, file: Path) -> StoredImage:
    """An image whose ``(H, W, 3)`` uint8 pixels are there."""
    return StoredImage(pixels.shape[1], pixels.shape[0], file, pixels)


def shrink_of(view: View) -> int:
    """How many times smaller a JPEG may be decoded for a view: 8, 4, 2, or 1 where that would lose anything.

    The view must be at least so many times smaller than its window, both ways, and the window must lie on multiples, or
    the picture would be shifted by a part of a pixel.  :mod:`resdet.data.augment` draws windows so.
    """
    x1, y1, x2, y2 = view.window
    least = min((x2 - x1) / view.width, (y2 - y1) / view.height)
    return next((s for s in jpeg.SHRINKS if s <= least and not any(side % s for side in view.window)), 1)
