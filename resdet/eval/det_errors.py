"""What keeps a detector from 100: how much mAP each kind of error costs, after TIDE (Bolya et al. 2020).

Every wrong detection is of one kind, found in this order, and every true box that no detection came near is a miss:

- ``localization``: near a true box of its class, an IoU of at least 0.1, but not near enough;
- ``class``: near enough to a true box of another class;
- ``duplicate``: near enough to a true box of its class that a surer detection has;
- ``background``: near no true box at all;
- ``both``: the rest: not near enough, and of another class;
- ``missed``: a true box that no detection hits, and that no error of the first two kinds is about.

What a kind costs is the mAP that there would be without it, less the mAP: boxes or classes of the first two are put
right where the true box is free (the surest of several, the others go), detections of the next three go, and missed
boxes are not asked for.  Each kind is mended alone, so the costs do not sum to what is lacking.  "Near enough" and
mAP are those of the metric; for COCO they are those of one IoU, 0.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdet.eval.average_precision import averages, curves
from resdet.eval.det_pairs import Pairs, Truth, overlapping
from resdet.eval.det_rules import Judged
from resdet.predictions.det import DetPredictions

NEAR = 0.1  # an IoU below this is background
KINDS = ("class", "localization", "both", "duplicate", "background", "missed")


@dataclass(frozen=True)
class Errors:
    """The kind of each error, and what it is about."""

    kind: NDArray[np.int64]  # (N,): the place in KINDS of each wrong detection's, -1: it is right or does not count
    about: NDArray[np.int64]  # (N,): the true box that a class or localization error is about, -1: none
    missed: NDArray[np.bool_]  # (M,): nothing came near it


def error_costs(judged: Judged) -> dict[str, Any]:
    """``mAP`` at the one IoU, and for each of :data:`KINDS` its ``count`` and the ``mAP_lost`` to it, in percent."""
    errors = find_errors(judged)
    base = _mean_average(judged, judged.found.labels, judged.right, judged.counted, judged.positives)
    costs: dict[str, Any] = {"mAP": base}
    for number, kind in enumerate(KINDS):
        count = errors.missed.sum() if kind == "missed" else (errors.kind == number).sum()
        costs[kind] = {"count": int(count), "mAP_lost": _without(judged, errors, kind) - base}
    return costs


def find_errors(judged: Judged) -> Errors:
    """Sort every wrong detection and every box that was not hit into kinds."""
    wrong = np.flatnonzero(judged.counted & ~judged.right)
    counting = np.flatnonzero(judged.asked)
    kind = np.full(len(judged.found), KINDS.index("background"))
    about = np.full(len(judged.found), -1)
    same, other = _nearest(judged.found[wrong], judged.truth[counting], judged.least[counting])
    least = np.append(judged.least[counting], np.inf)  # a last row for those that are near to nothing
    is_near_same, is_near_other = same.overlap >= NEAR, other.overlap >= NEAR
    in_reach_same, in_reach_other = same.overlap >= least[same.truth], other.overlap >= least[other.truth]
    for name, rows, pairs in (  # the last word counts: the first in the order of the list above comes last
        ("both", is_near_other | is_near_same, None),
        ("duplicate", in_reach_same, None),
        ("class", in_reach_other, other),
        ("localization", is_near_same & ~in_reach_same, same),
    ):
        kind[wrong[rows]] = KINDS.index(name)
        about[wrong[rows]] = -1 if pairs is None else counting[pairs.truth[rows]]
    kind[judged.right | ~judged.counted] = -1
    unhit = judged.asked.copy()
    unhit[judged.match[judged.right]] = False
    unhit[about[about >= 0]] = False
    return Errors(kind, about, unhit)


def _nearest(found: DetPredictions, truth: Truth, least: NDArray[np.float64]) -> tuple[Pairs, Pairs]:
    """For each detection the true box of its class, and that of another, that it overlaps best.

    Returns:
        Two of ``N`` rows; where there is none that is near, the overlap is 0 and the box the one after the last.
    """
    near = np.minimum(least, NEAR)  # of an object of three pixels, less than that is enough
    pairs = overlapping(found.images, found.boxes, truth.images, truth.boxes, near)
    is_same = found.labels[pairs.found] == truth.labels[pairs.truth]
    return tuple(_best(pairs[mask], len(found), len(truth.labels)) for mask in (is_same, ~is_same))  # type: ignore


def _best(pairs: Pairs, found: int, nothing: int) -> Pairs:
    pairs = pairs[np.lexsort((pairs.truth, -pairs.overlap, pairs.found))]
    rows, first = np.unique(pairs.found, return_index=True)
    truth, overlap = np.full(found, nothing), np.zeros(found)
    truth[rows], overlap[rows] = pairs.truth[first], pairs.overlap[first]
    return Pairs(np.arange(found), truth, overlap)


def _without(judged: Judged, errors: Errors, kind: str) -> float:
    """The mAP in percent were there no error of this kind."""
    labels, right, positives = judged.found.labels, judged.right, judged.positives
    if kind == "missed":
        fewer = positives - np.bincount(judged.truth.labels[errors.missed], minlength=len(positives))
        return _mean_average(judged, labels, right, judged.counted, fewer)
    rows = np.flatnonzero(errors.kind == KINDS.index(kind))
    stays = judged.counted.copy()
    stays[rows] = False
    mended = rows[list(_first_on_free(errors.about[rows], judged.match))]
    labels, right = labels.copy(), right.copy()
    labels[mended], right[mended], stays[mended] = judged.truth.labels[errors.about[mended]], True, True
    return _mean_average(judged, labels, right, stays, positives)


def _first_on_free(about: NDArray[np.int64], match: NDArray[np.int64]) -> Iterator[int]:
    """The places of those in ``about``, the surest first, whose true box nobody has yet."""
    taken = set(match.tolist()) | {-1}
    for place, box in enumerate(about.tolist()):
        if box not in taken:
            taken.add(box)
            yield place


def _mean_average(
    judged: Judged,
    labels: NDArray[np.int64],
    right: NDArray[np.bool_],
    stays: NDArray[np.bool_],
    positives: NDArray[np.int64],
) -> float:
    """Over the classes that have a true box; one whose every box is not asked for any more lacks nothing."""
    ap = averages(curves(labels[stays], right[stays], positives), judged.average)
    ap[(positives == 0) & (judged.positives > 0)] = 1.0
    return 100 * float(np.nanmean(ap))
