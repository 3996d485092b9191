"""Localization predictions of a whole data set, in the frame of ILSVRC's files.

That frame is whole inclusive pixels counted from 0: a box that covers a ``w x h`` image is ``0 0 w-1 h-1``.
Evaluation from weights goes through :func:`to_inclusive` too, so it gives the number a written file would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_GUESSES = 5  # classes that ILSVRC lets one guess; its development kit cuts what is beyond


@dataclass(frozen=True)
class LocPredictions:
    """Up to ``k`` guesses an image, the best first; row ``i`` is image ``i`` of the records."""

    labels: NDArray[np.int64]  # (N, k) in 0 .. K-1, or -1 for a missing guess
    boxes: NDArray[np.float64]  # (N, k, 4) xyxy inclusive pixels; double, as the development kit computes
    gt_class_boxes: NDArray[np.float64] | None = None  # (N, 4): the box for the image's true class, NaN: unknown

    def __post_init__(self) -> None:
        if self.labels.ndim != 2:
            raise ValueError(f"LocPredictions.labels must be (N, k), got {self.labels.shape}")
        if self.boxes.shape != (*self.labels.shape, 4):
            raise ValueError(f"LocPredictions.boxes must be {(*self.labels.shape, 4)}, got {self.boxes.shape}")
        wanted = (len(self.labels), 4)
        if self.gt_class_boxes is not None and self.gt_class_boxes.shape != wanted:
            raise ValueError(f"LocPredictions.gt_class_boxes must be {wanted}, got {self.gt_class_boxes.shape}")

    def __len__(self) -> int:
        return len(self.labels)


FARTHEST = 2.0**53  # pixels: a whole number beyond has no next one in float64, and far beyond none in int64


def to_inclusive(
    boxes: ArrayLike, width: ArrayLike | None = None, height: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Boxes as ILSVRC's files hold them: rounded to whole pixels, inside the image, at least one pixel large.

    Args:
        boxes: ``(..., 4)`` xyxy continuous pixels; an array or a tensor on the CPU.
        width, height: of the image in pixels, or arrays that broadcast to ``boxes[..., 0]``; None: not clipped.

    Returns:
        ``(..., 4)`` int64 xyxy inclusive pixels.

    Raises:
        FloatingPointError: a coordinate is not finite: the network that gave it has diverged.
    """
    edges = np.asarray(boxes, dtype=np.float64)
    if not np.isfinite(edges).all():
        raise FloatingPointError(
            f"{int((~np.isfinite(edges)).any(-1).sum())} boxes have a coordinate that is not finite"
        )
    whole = np.floor(edges + 0.5)  # halves go up, so moving a box by a pixel moves its rounding
    pixels = np.clip(whole, -FARTHEST, FARTHEST).astype(np.int64)
    pixels[..., 2:] -= 1  # the far edge is one past the last pixel
    for axis, size in ((0, width), (1, height)):
        if size is not None:
            last = np.asarray(size, dtype=np.int64)[..., None] - 1
            pixels[..., axis::2] = np.clip(pixels[..., axis::2], 0, last)
    pixels[..., 2:] = np.maximum(pixels[..., 2:], pixels[..., :2])
    return pixels
