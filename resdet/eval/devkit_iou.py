"""Overlap as ILSVRC counts it: in inclusive pixels, so that a box from 10 to 19 is ``19 - 10 + 1`` wide.

RoI pool's bins (:mod:`resdet.ops.roi_pool.bins`) count cells so; every other width is ``x2 - x1``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

NO_OVERLAP = -1.0


def inclusive_iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of boxes in inclusive pixels, by the development kit's ``compute_overlap.m``.

    Args:
        a, b: ``(..., 4)`` xyxy inclusive pixels, of shapes that broadcast.

    Returns:
        ``(...)`` double, in (0, 1] where the boxes share a pixel, else -1; a box upside down shares none.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1  # (..., 2)
    overlap = (sides > 0).all(-1)
    intersection = sides.prod(-1)
    union = _area(a) + _area(b) - intersection
    return np.divide(intersection, union, out=np.full(intersection.shape, NO_OVERLAP), where=overlap)


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return (boxes[..., 2:] - boxes[..., :2] + 1).prod(-1)
