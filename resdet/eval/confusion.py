"""Which classes are taken for which: confusion matrices, of guesses and of detections."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resdet.data.records import Records
from resdet.eval.det_pairs import Overlap, Pairs, Truth, overlapping, paired_iou, share_inside, truth_of
from resdet.eval.det_rules import what_counts
from resdet.predictions.det import DetPredictions

SURE = 0.3  # a score; what is below is kept for its recall, and is not what a detector would draw
NEAR = 0.5  # IoU
NOTHING = "(nothing)"  # the last row: where there is no object; the last column: what nobody found


def class_confusion(guesses: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """How many images of each class were taken for each.

    Args:
        guesses: ``(N,)``: of each image the first guess, -1 for none.
        labels: ``(N,)``, the true classes.

    Returns:
        ``(K + 1, K + 1)``: a row a true class, a column a guess; the last column: no guess.
    """
    return _counted(labels, np.where(guesses < 0, classes, guesses), classes)


def box_confusion(
    found: DetPredictions,
    records: Records,
    *,
    left_out: NDArray[np.int64] | None = None,
    crowds: bool = False,
    score: float = SURE,
    iou: float = NEAR,
) -> NDArray[np.int64]:
    """How many objects of each class were found as each.

    Detections of at least ``score``, the surest first, take the free object that they overlap best, of whatever class,
    by an IoU of at least ``iou``.  What overlaps only an ignored box (VOC's difficult, COCO's crowds) is not counted.

    Args:
        left_out: see :func:`resdet.eval.det_rules.judge`.
        crowds: whether an ignored box holds what lies in it by ``iou`` of its own area, as for COCO; else it takes as
            much as a true box does.

    Returns:
        ``(K + 1, K + 1)``: a row a true class, a column a found one; the last row: detections of no object, the last
        column: objects that were not found.
    """
    classes = len(records.classes)
    found, truth = what_counts(found[found.scores >= score], truth_of(records), classes, left_out)
    of = _objects_found(found, truth, iou, share_inside if crowds else paired_iou)
    labels, ignored = np.append(truth.labels, classes), np.append(truth.ignored, False)  # -1: the last, no object
    missed = ~ignored
    missed[-1] = False
    missed[of] = False
    counts = ~ignored[of]
    true = np.concatenate((labels[of][counts], labels[missed]))
    return _counted(true, np.concatenate((found.labels[counts], np.full(missed.sum(), classes))), classes)


def most_confused(matrix: NDArray[np.int64], names: Sequence[str], most: int = 20) -> list[dict[str, object]]:
    """The most frequent mistakes, each ``{"true", "found", "count"}``; classes by name, or :data:`NOTHING`."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    called = (*names, NOTHING)
    rows, columns = np.unravel_index(order, wrong.shape)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [{"true": called[r], "found": called[c], "count": int(wrong[r, c])} for r, c in pairs if wrong[r, c]]


def confused_line(mistakes: Sequence[Mapping[str, object]], most: int = 3) -> str:
    """The first few of :func:`most_confused`'s in a line."""
    told = (f"{one['true']} as {one['found']} ({one['count']})" for one in mistakes[:most])
    return "most often taken for another: " + (", ".join(told) or "none")


def write_matrix(file: Path, matrix: NDArray[np.int64], names: Sequence[str]) -> None:
    """The matrix as CSV: a row a true class, a column a found one, both named."""
    called = (*names, NOTHING)
    with file.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(("true \\ found", *called))
        rows.writerows((name, *row) for name, row in zip(called, matrix.tolist(), strict=True))


def _counted(true: NDArray[np.int64], found: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    side = classes + 1
    return np.bincount(true * side + found, minlength=side * side).reshape(side, side)


def _objects_found(found: DetPredictions, truth: Truth, iou: float, held: Overlap) -> NDArray[np.int64]:
    """``(N,)``: the true box that each detection takes, -1 for none.  Ignored ones are for what takes no other.

    Args:
        held: how much a detection overlaps an ignored box.
    """
    parts = []
    for rows, overlap in ((np.flatnonzero(~truth.ignored), paired_iou), (np.flatnonzero(truth.ignored), held)):
        boxes, least = truth[rows], np.full(len(rows), iou)
        pairs = overlapping(found.images, found.boxes, boxes.images, boxes.boxes, least, overlap)
        parts.append((pairs.found, rows[pairs.truth], pairs.overlap))
    pairs = Pairs(*(np.concatenate(field) for field in zip(*parts, strict=True)))
    late = truth.ignored[pairs.truth]
    order = np.lexsort((pairs.truth, -pairs.overlap, late, pairs.found, -found.scores[pairs.found]))
    of, free = np.full(len(found), -1), np.ones(len(truth.labels), dtype=bool)
    for detection, box in zip(pairs.found[order].tolist(), pairs.truth[order].tolist(), strict=True):
        if of[detection] < 0 and free[box]:
            of[detection] = box
            free[box] = bool(truth.ignored[box])  # an ignored box takes any number
    return of
