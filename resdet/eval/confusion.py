"""Which classes are taken for which: confusion matrices, of guesses and of detections."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resdet.data.records import Records
from resdet.eval.det_pairs import Truth, overlapping, truth_of
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
    found: DetPredictions, records: Records, *, score: float = SURE, iou: float = NEAR
) -> NDArray[np.int64]:
    """How many objects of each class were found as each.

    Detections of at least ``score``, the surest first, take the free object that they overlap best, of whatever class,
    by an IoU of at least ``iou``.  What overlaps only an ignored box (VOC's difficult, COCO's crowds) is not counted.

    Returns:
        ``(K + 1, K + 1)``: a row a true class, a column a found one; the last row: detections of no object, the last
        column: objects that were not found.
    """
    classes, truth = len(records.classes), truth_of(records)
    found = found[found.scores >= score]
    of = _objects_found(found, truth, iou)
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


def _objects_found(found: DetPredictions, truth: Truth, iou: float) -> NDArray[np.int64]:
    """``(N,)``: the true box that each detection takes, -1 for none.  Ignored ones are for what takes no other."""
    least = np.full(len(truth.labels), iou)
    pairs = overlapping(found.images, found.boxes, truth.images, truth.boxes, least)
    late = truth.ignored[pairs.truth]
    order = np.lexsort((pairs.truth, -pairs.overlap, late, pairs.found, -found.scores[pairs.found]))
    of, free = np.full(len(found), -1), np.ones(len(truth.labels), dtype=bool)
    for detection, box in zip(pairs.found[order].tolist(), pairs.truth[order].tolist(), strict=True):
        if of[detection] < 0 and free[box]:
            of[detection] = box
            free[box] = bool(truth.ignored[box])  # an ignored box takes any number
    return of
