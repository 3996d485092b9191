"""Which detections are right: the matching rules of ILSVRC DET, PASCAL VOC and COCO at an IoU of 0.5.

ILSVRC (the development kit's ``eval_detection.m``): a detection, the surest of its image and class first, takes the
best of the true boxes that are still free and that it overlaps enough; "enough" is less for small objects.  Every
box of the annotation counts, whatever flags it has.
VOC (``VOCevaldet.m``): a detection looks at the true box it overlaps best, free or not: a second one there is wrong.
At a difficult box it is neither right nor wrong.
COCO (pycocotools): as ILSVRC, with one IoU for all, a hundred detections an image and class, and those inside a
crowd neither right nor wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resdet.data.records import Records
from resdet.eval.average_precision import Average, Curve, area, coco_average, curves, eleven_point
from resdet.eval.det_pairs import Overlap, Pairs, Truth, overlapping, paired_iou, share_inside, truth_of
from resdet.eval.det_table import METRICS
from resdet.predictions.det import DetPredictions
from resdet.predictions.numbering import image_numbers

IOU = 0.5
TOLERANCE = 10  # pixels that ILSVRC lets a small object's box be off, both sides of an axis together
COCO_MOST = 100  # detections an image and class


@dataclass(frozen=True)
class Judged:
    """Which detections are right: all that averages, curves and the analysis of errors are computed from."""

    found: DetPredictions  # the surest first, equal ones in the order of the metric
    truth: Truth
    least: NDArray[np.float64]  # (M,): the IoU that is enough for each true box
    match: NDArray[np.int64]  # (N,): the true box that a detection hits, -1: none
    counted: NDArray[np.bool_]  # (N,): False: neither right nor wrong
    asked: NDArray[np.bool_]  # (M,): the true boxes that are to be found
    classes: int
    average: Average

    @property
    def right(self) -> NDArray[np.bool_]:
        """``(N,)``: the detections that hit a true box."""
        return self.match >= 0

    @property
    def positives(self) -> NDArray[np.int64]:
        """``(K,)``: true boxes of each class that are to be found."""
        return np.bincount(self.truth.labels[self.asked], minlength=self.classes)

    def curves(self) -> list[Curve | None]:
        """Of each class, None where it has no true box."""
        return curves(self.found.labels[self.counted], self.right[self.counted], self.positives)


def judge(
    predictions: DetPredictions, records: Records, metric: str, left_out: NDArray[np.int64] | None = None
) -> Judged:
    """Hold each detection against the true boxes of its image, by one of :data:`resdet.eval.det_table.METRICS`.

    Args:
        left_out: ``(P, 2)`` rows of image index and label, ILSVRC's blacklist: the image does not count for the class.

    Raises:
        ValueError: as :func:`check_predictions`.
    """
    check_predictions(predictions, records, metric)
    found, truth = what_counts(predictions, truth_of(records), len(records.classes), left_out)
    if metric == "ilsvrc":
        return _judge_ilsvrc(_ranked(found, image_numbers(records)), truth, len(records.classes))
    if metric == "coco":
        return _judge_coco(_ranked(found, image_numbers(records)), truth, len(records.classes))
    return _judge_voc(_ranked(found), truth, len(records.classes), eleven_point if metric == "voc07" else area)


def what_counts(
    found: DetPredictions, truth: Truth, classes: int, left_out: NDArray[np.int64] | None
) -> tuple[DetPredictions, Truth]:
    """Detections and true boxes without those of the rows of ``left_out``, see :func:`judge`."""
    if left_out is None or not len(left_out):
        return found, truth
    keys = left_out[:, 0] * classes + left_out[:, 1]
    counts, asked = (~np.isin(each.images * classes + each.labels, keys) for each in (found, truth))
    return found[counts], truth[asked]


def check_predictions(predictions: DetPredictions, records: Records, metric: str) -> None:
    """Make sure that detections are of these records: a label from 1 on would count for another image's class.

    Raises:
        ValueError: an image or a label that the records do not have, or no such metric.
    """
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}")
    for name, count in (("images", len(records)), ("labels", len(records.classes))):
        column = getattr(predictions, name)
        strange = np.flatnonzero((column < 0) | (column >= count))
        if len(strange):
            row = strange[0]
            raise ValueError(f"DetPredictions.{name} must be 0 .. {count - 1}, got {column[row]} in row {row}")


def ilsvrc_least(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(M,)``: the IoU that is enough for each true box: less than 0.5 where it is smaller than some 25 pixels."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return np.minimum(IOU, width * height / ((width + TOLERANCE) * (height + TOLERANCE)))


def _judge_ilsvrc(found: DetPredictions, truth: Truth, classes: int) -> Judged:
    least = ilsvrc_least(truth.boxes)
    match = _best_free(_same_class(found, truth, least, classes), len(found), len(truth.labels))
    counted, asked = np.ones(len(found), dtype=bool), np.ones(len(least), dtype=bool)
    return Judged(found, truth, least, match, counted, asked, classes, area)


def _judge_voc(found: DetPredictions, truth: Truth, classes: int, average: Average) -> Judged:
    least = np.full(len(truth.labels), IOU)
    pairs = _best_first(_same_class(found, truth, least, classes))
    rows, first = np.unique(pairs.found, return_index=True)
    best = pairs.truth[first]  # of each of these rows
    difficult = truth.ignored[best]
    counted = np.ones(len(found), dtype=bool)
    counted[rows[difficult]] = False
    taken, first = np.unique(best[~difficult], return_index=True)  # rows ascend, so the surest comes first
    match = np.full(len(found), -1)
    match[rows[~difficult][first]] = taken
    return Judged(found, truth, least, match, counted, ~truth.ignored, classes, average)


def _judge_coco(found: DetPredictions, truth: Truth, classes: int) -> Judged:
    found = found[_first_of_each(found.images * classes + found.labels, COCO_MOST)]
    least = np.full(len(truth.labels), IOU)
    pairs = _same_class(found, truth, least, classes)
    real = pairs[~truth.ignored[pairs.truth]]
    match = _best_free(real, len(found), len(truth.labels), last_of_equals=True)
    crowds = np.flatnonzero(truth.ignored)
    inside = _same_class(found, truth[crowds], least[crowds], classes, share_inside)
    counted = np.ones(len(found), dtype=bool)
    counted[inside.found] = False
    counted[match >= 0] = True
    return Judged(found, truth, least, match, counted, ~truth.ignored, classes, coco_average)


def _ranked(found: DetPredictions, numbers: NDArray[np.int64] | None = None) -> DetPredictions:
    """The surest first; of equal ones the one in the image with the lower number, if given, then the earlier row."""
    keys = (-found.scores,) if numbers is None else (numbers[found.images], -found.scores)
    return found[np.lexsort(keys)]


def _same_class(
    found: DetPredictions, truth: Truth, least: NDArray[np.float64], classes: int, overlap: Overlap = paired_iou
) -> Pairs:
    groups = found.images * classes + found.labels, truth.images * classes + truth.labels
    return overlapping(groups[0], found.boxes, groups[1], truth.boxes, least, overlap)


def _best_first(pairs: Pairs, last_of_equals: bool = False) -> Pairs:
    """For each detection the true box that it overlaps best comes first; of equal ones the first, or the last."""
    tie = -pairs.truth if last_of_equals else pairs.truth
    return pairs[np.lexsort((tie, -pairs.overlap, pairs.found))]


def _best_free(pairs: Pairs, found: int, truth: int, last_of_equals: bool = False) -> NDArray[np.int64]:
    """``(found,)``: what each detection takes when each in turn takes the best true box that is still free.

    One depends on all before it, so this is a loop; over the pairs that overlap enough, a million in 0.2 s.
    """
    pairs = _best_first(pairs, last_of_equals)
    match, taken, served = [-1] * found, bytearray(truth), -1
    for row, box in zip(pairs.found.tolist(), pairs.truth.tolist(), strict=True):
        if row != served and not taken[box]:
            match[row], taken[box], served = box, True, row
    return np.array(match, dtype=np.int64)


def _first_of_each(groups: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The rows that are among the first ``most`` of their group, ascending."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    place = np.arange(len(groups)) - np.searchsorted(ordered, ordered, side="left")
    return np.sort(order[place < most])
