"""Which detection overlaps which true box: all pairs of one image, or of one image and class, that matter.

Boxes are continuous pixels.  A file's inclusive pixels became continuous when it was read, by moving the far edges
one further, so that the plain ``x2 - x1`` here *is* the ``x2 - x1 + 1`` of ILSVRC's and VOC's rules, and COCO's width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resdet.data.records import Records

PAIRS_AT_ONCE = 1_000_000  # some 200 MB
SIDE_DECIMALS = 9  # of a pixel; sums and differences of coordinates are off by less
HUGE_NUMBERS = np.errstate(over="ignore", invalid="ignore")  # a file may hold 1e300: no pixel, and overlaps nothing

Boxes = NDArray[np.float64]
Overlap = Callable[[Boxes, Boxes], NDArray[np.float64]]  # of rows with rows: detections first, true boxes second


@dataclass(frozen=True)
class Truth:
    """The true boxes of a data set."""

    images: NDArray[np.int64]  # (M,): the index of each box's image among the records, ascending
    labels: NDArray[np.int64]  # (M,)
    boxes: Boxes  # (M, 4)
    ignored: NDArray[np.bool_]  # (M,): VOC's difficult, COCO's crowds

    def __getitem__(self, keep: NDArray) -> Truth:
        return Truth(self.images[keep], self.labels[keep], self.boxes[keep], self.ignored[keep])


@dataclass(frozen=True)
class Pairs:
    """Detections and true boxes that overlap; by detection, then by true box, ascending."""

    found: NDArray[np.int64]  # (P,)
    truth: NDArray[np.int64]  # (P,)
    overlap: NDArray[np.float64]  # (P,)

    def __getitem__(self, keep: NDArray) -> Pairs:
        return Pairs(self.found[keep], self.truth[keep], self.overlap[keep])


def truth_of(records: Records) -> Truth:
    """All true boxes of ``records``, in their order."""
    boxes = _as_written(records.boxes.numpy())
    return Truth(records.box_images().numpy(), records.box_labels.numpy(), boxes, records.box_ignored.numpy())


def _as_written(boxes: NDArray[np.float32]) -> Boxes:
    """The hundredths of a pixel that annotations are written in, as double, where a number is one of them rounded."""
    exact = boxes.astype(np.float64)
    hundredths = np.round(exact, 2)
    return np.where(hundredths.astype(np.float32) == boxes, hundredths, exact)


@HUGE_NUMBERS
def paired_iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """``(P,)`` intersection over union of row with row; 0 where a box has no area or is upside down."""
    shared = _intersection(a, b)
    return _divide(shared, _area(a) + _area(b) - shared)


@HUGE_NUMBERS
def share_inside(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """``(P,)``: the share of ``a``'s area that lies in ``b``: how COCO holds a detection against a crowd."""
    return _divide(_intersection(a, b), _area(a))


def overlapping(
    found_groups: NDArray[np.int64],
    found_boxes: Boxes,
    truth_groups: NDArray[np.int64],
    truth_boxes: Boxes,
    least: NDArray[np.float64],
    overlap: Overlap = paired_iou,
) -> Pairs:
    """All pairs of a detection and a true box of its group whose overlap is above 0 and at least ``least``.

    Args:
        found_groups, truth_groups: ``(N,)``, ``(M,)``: only boxes of equal groups are held against each other.
        found_boxes, truth_boxes: ``(N, 4)``, ``(M, 4)``.
        least: ``(M,)``: the overlap that is enough for each true box; of a box of no area ILSVRC's is 0.
    """
    by_group = np.argsort(truth_groups, kind="stable")
    groups = truth_groups[by_group]
    first = np.searchsorted(groups, found_groups, side="left")
    counts = np.searchsorted(groups, found_groups, side="right") - first
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for rows in _blocks(counts):
        found = np.repeat(rows, counts[rows])
        place = np.arange(len(found)) - np.repeat(np.cumsum(counts[rows]) - counts[rows], counts[rows])
        truth = by_group[first[found] + place]
        values = overlap(found_boxes[found], truth_boxes[truth])
        enough = (values > 0) & (values >= least[truth])
        parts.append((found[enough], truth[enough], values[enough]))
    return Pairs(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def _blocks(counts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The rows that have a pair, in runs of some :data:`PAIRS_AT_ONCE` pairs."""
    rows = np.flatnonzero(counts)
    block = np.cumsum(counts[rows]) // PAIRS_AT_ONCE
    yield from np.split(rows, np.flatnonzero(np.diff(block)) + 1) if len(rows) else ()


def _intersection(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    return sides.clip(min=0).prod(1)


def _area(boxes: Boxes) -> NDArray[np.float64]:
    """``(N,)``; of a box that is upside down it means nothing, and is not asked: that shares nothing with others."""
    return sides_of(boxes).prod(1)


def sides_of(boxes: Boxes) -> NDArray[np.float64]:
    """``(N, 2)`` widths and heights as a file had them: ``(x + width) - x`` is not always the ``width``."""
    return np.round(boxes[:, 2:] - boxes[:, :2], SIDE_DECIMALS)


def _divide(shared: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(shared, whole, out=np.zeros_like(shared), where=(shared > 0) & (whole > 0))
