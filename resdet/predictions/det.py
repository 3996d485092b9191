"""Detections of a whole data set as flat arrays: what networks answer and what files of results hold.

Boxes are xyxy, continuous pixels of the upright image, as everywhere; each form of file converts when it is read
and when it is written.  Numbers are double, so that a file's scores are told apart as its writer told them apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resdet.structures import Detections

DECIMALS = 2  # of a coordinate in pixels, in every form of file


@dataclass(frozen=True)
class DetPredictions:
    """What was found in the images of a data set; row by row, in the order in which equal scores rank."""

    images: NDArray[np.int64]  # (N,): the index of each detection's image among the records, in any order
    labels: NDArray[np.int64]  # (N,) in 0 .. K-1
    scores: NDArray[np.float64]  # (N,), the higher the surer
    boxes: NDArray[np.float64]  # (N, 4) xyxy continuous pixels; a file may hold some that are upside down

    def __post_init__(self) -> None:
        if self.boxes.ndim != 2 or self.boxes.shape[1] != 4:
            raise ValueError(f"DetPredictions.boxes must be (N, 4), got {self.boxes.shape}")
        for name in ("images", "labels", "scores"):
            if (shape := getattr(self, name).shape) != self.boxes.shape[:1]:
                raise ValueError(f"DetPredictions.{name} must be ({len(self.boxes)},) as boxes, got {shape}")

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, keep: NDArray) -> DetPredictions:
        """The rows of an index or a mask, every array alike."""
        return DetPredictions(self.images[keep], self.labels[keep], self.scores[keep], self.boxes[keep])


def predictions(images: ArrayLike, labels: ArrayLike, scores: ArrayLike, boxes: ArrayLike) -> DetPredictions:
    """The arrays in their types, from whatever holds the numbers; ``boxes`` may be empty, of any shape then."""
    return DetPredictions(
        np.asarray(images, dtype=np.int64),
        np.asarray(labels, dtype=np.int64),
        np.asarray(scores, dtype=np.float64),
        np.asarray(boxes, dtype=np.float64).reshape(-1, 4),
    )


def collect(found: Iterable[tuple[int, Detections]]) -> DetPredictions:
    """What a network found, one image after another.

    Coordinates are rounded to hundredths of a pixel, the precision of the files, so that a network's answers give
    the number that the file written from them does.

    Args:
        found: the index of each image and its detections, on the CPU.
    """
    images: list[int] = []
    parts: tuple[list[NDArray], ...] = ([], [], [])
    for image, detections in found:
        images.extend(repeat(image, len(detections)))
        for part, field in zip(parts, (detections.labels, detections.scores, detections.boxes), strict=True):
            part.append(field.numpy())
    labels, scores, boxes = (np.concatenate(part) if images else np.zeros(0) for part in parts)
    return predictions(images, labels, scores, np.round(boxes.astype(np.float64), DECIMALS))
