"""From right and wrong detections to a precision-recall curve, and from the curve to one number.

A curve's recall never falls; its precision is made to never rise, as every one of the rules below does, by taking the
best precision at this recall or a higher one.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# As the codes compute them: 0.1 * 3 is a little more than 3 / 10, so a recall of 3 out of 10 does not reach it.
ELEVEN_RECALLS = np.arange(0.0, 1.1, 0.1)
COCO_RECALLS = np.linspace(0.0, 1.0, 101)


class Curve(NamedTuple):
    """One class: a point for each detection, the surest first."""

    recall: NDArray[np.float64]  # (n,)
    precision: NDArray[np.float64]  # (n,)


Average = Callable[[Curve], float]


def area(curve: Curve) -> float:
    """The whole area below the curve: ``VOCap`` of the development kits of VOC 2010 to 2012 and of ILSVRC."""
    recall = np.concatenate(([0.0], curve.recall, [1.0]))
    precision = never_rising(np.concatenate(([0.0], curve.precision, [0.0])))
    return float(np.sum(np.diff(recall) * precision[1:]))


def eleven_point(curve: Curve) -> float:
    """The mean over recalls 0, 0.1, .. 1: VOC 2007's rule, computed as py-faster-rcnn's ``voc_ap`` does."""
    return _sampled(curve, ELEVEN_RECALLS)


def coco_average(curve: Curve) -> float:
    """The mean over recalls 0, 0.01, .. 1: pycocotools' rule at one IoU."""
    return _sampled(curve, COCO_RECALLS)


def curves(labels: NDArray[np.int64], right: NDArray[np.bool_], positives: NDArray[np.int64]) -> list[Curve | None]:
    """The curve of each class.

    Args:
        labels: ``(N,)`` the class of each detection, the surest first.
        right: ``(N,)``.
        positives: ``(K,)`` true boxes of each class.

    Returns:
        ``K`` of them, None where there is no true box: recall is not defined there.
    """
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(len(positives) + 1))
    parts = (right[order[start:end]] for start, end in pairwise(ends))
    return [_curve(part, int(count)) if count else None for part, count in zip(parts, positives, strict=True)]


def averages(class_curves: list[Curve | None], average: Average) -> NDArray[np.float64]:
    """``(K,)``: the average precision of each class, NaN where it has no curve, 0 where nothing was detected."""
    return np.array([np.nan if curve is None else average(curve) for curve in class_curves], dtype=np.float64)


def never_rising(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """The best precision at each point of a curve or a later one."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def _curve(right: NDArray[np.bool_], positives: int) -> Curve:
    hits = np.cumsum(right)
    return Curve(hits / positives, hits / np.arange(1, len(right) + 1))


def _sampled(curve: Curve, recalls: NDArray[np.float64]) -> float:
    """The mean of the best precision at each of these recalls or a higher one, 0 where none is as high."""
    precision = np.concatenate((never_rising(curve.precision), [0.0]))
    return float(precision[np.searchsorted(curve.recall, recalls, side="left")].mean())
