"""Boxes of detection as text files hold them: the first and the last pixel of each axis, both inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resdet.predictions.det import DECIMALS


def from_inclusive(boxes: NDArray[np.float64], first_pixel: int) -> NDArray[np.float64]:
    """``(N, 4)`` inclusive pixels as xyxy continuous pixels that begin at 0.

    Args:
        first_pixel: what the file calls the first column and row: 0 for ILSVRC, 1 for VOC.
    """
    return boxes + np.array([0, 0, 1, 1]) - first_pixel  # the last pixel is inside: the far edge is one further


def as_inclusive(boxes: NDArray[np.float64], first_pixel: int) -> NDArray[np.float64]:
    """The inverse of :func:`from_inclusive`, in hundredths of a pixel; a box of no area has its last pixel first."""
    return np.round(boxes - np.array([0, 0, 1, 1]) + first_pixel, DECIMALS)
