"""Localization by ILSVRC's rule to the letter: the development kit's ``eval_clsloc.m``.

For an image of class ``g`` and guesses ``(l_j, b_j)``, ``d_j`` is 0 where ``l_j`` is ``g`` and ``f_j`` is 0 where
``b_j`` overlaps any one of the true boxes of class ``g`` with an IoU of at least 0.5 in inclusive pixels.  The
image's error is ``min_j max(d_j, f_j)``.  As in the kit, the localization error is over the images that are not
blacklisted and the class error over *all* images; an image without a true box can never be right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdet.data.records import Records
from resdet.errors import InputError
from resdet.eval.bootstrap import mean_interval
from resdet.eval.devkit_iou import NO_OVERLAP, inclusive_iou
from resdet.predictions.loc import MAX_GUESSES, LocPredictions

HIT = 0.5  # an IoU of exactly this is a hit


@dataclass(frozen=True)
class LocOutcomes:
    """Which guesses are right: all that every error is computed from."""

    class_hits: NDArray[np.bool_]  # (N, 5): the guess's class is the image's
    box_hits: NDArray[np.bool_]  # (N, 5): the guess's box, whatever its class, hits a true box
    gt_class_hits: NDArray[np.float64]  # (N,): 1 where the box for the true class hits, 0 where not, NaN: unknown
    iou: NDArray[np.float64]  # (N, 6): of each guess's box and of the true class's with the true box it fits best; -1
    # where they share no pixel, NaN where there is no such box


def loc_outcomes(predictions: LocPredictions, records: Records) -> LocOutcomes:
    """Hold each guess against the true class and boxes of its image.

    The box for the true class is ``predictions.gt_class_boxes``; where that is not given, the first guess of the
    true class, so it is unknown for an image whose class was not guessed.

    Raises:
        InputError: another number of images, an image without a class, no boxes at all.
    """
    _check(predictions, records)
    missing = max(0, MAX_GUESSES - predictions.labels.shape[1])
    labels = np.pad(predictions.labels, ((0, 0), (0, missing)), constant_values=-1)[:, :MAX_GUESSES]
    boxes = np.pad(predictions.boxes, ((0, 0), (0, missing), (0, 0)))[:, :MAX_GUESSES]
    class_hits = labels == records.labels.numpy()[:, None]
    gt_class_boxes = predictions.gt_class_boxes
    if gt_class_boxes is None:
        guessed = boxes[np.arange(len(boxes)), class_hits.argmax(1)]
        gt_class_boxes = np.where(class_hits.any(1, keepdims=True), guessed, np.nan)
    best = _best_iou(np.concatenate((boxes, gt_class_boxes[:, None]), axis=1), records)  # (N, 6)
    box_hits = (best[:, :-1] >= HIT) & (labels >= 0)
    there = np.column_stack((labels >= 0, ~np.isnan(gt_class_boxes).any(1)))
    iou = np.where(there, best, np.nan)
    return LocOutcomes(class_hits, box_hits, np.where(there[:, -1], best[:, -1] >= HIT, np.nan), iou)


def loc_metrics(outcomes: LocOutcomes, blacklisted: NDArray[np.bool_]) -> dict[str, Any]:
    """The errors in percent that ``eval_loc`` reports, with 95 % bootstrap intervals.

    ``errors`` splits the counted images by their five guesses: ``correct``; ``box_wrong``: the class was guessed,
    but with no box that hits; ``class_wrong``: the class was not guessed, but some guess's box hits;
    ``both_wrong``: neither.  The four sum to 100.
    ``gt_class_loc_error`` is null unless the box for the true class is known for *every* counted image: images
    whose class was missed are the harder ones, so an error over the others only would flatter.  That error is
    given for what it is, as ``gt_class_loc_error_class_found``, beside ``..._class_missed``.
    Where images are blacklisted, ``all_images`` has ``loc_top1_error``, ``loc_top5_error`` and ``gt_class_loc_error``
    with these counted too: the paper does not say how it counts.

    Args:
        outcomes: of ``N`` images.
        blacklisted: ``(N,)``: images that do not count for localization.

    Raises:
        InputError: every image is blacklisted.
    """
    counted = ~blacklisted
    if not counted.any():
        raise InputError(f"all {len(counted)} images are blacklisted: nothing is left to evaluate")
    found = np.logical_or.accumulate(outcomes.class_hits, axis=1)  # (N, 5): among the first k guesses
    right_of_all = np.logical_or.accumulate(outcomes.class_hits & outcomes.box_hits, axis=1)
    right = right_of_all[counted]
    gt_class_misses = 100.0 * (1 - outcomes.gt_class_hits[counted])
    class_found = found[counted][:, -1]
    conditional = {
        "gt_class_loc_error_class_found": gt_class_misses[class_found],
        "gt_class_loc_error_class_missed": gt_class_misses[~class_found],
    }
    samples = {"cls": 100.0 * ~found, "loc": 100.0 * ~right, "gt_class_loc_error": gt_class_misses} | conditional
    return {
        "images": len(counted),
        "blacklisted": int(blacklisted.sum()),
        **_by_name(samples, _mean),
        "ci95": _by_name(samples, _interval),
        "errors": error_split(outcomes, counted),
        **({"all_images": _of_all(right_of_all, outcomes.gt_class_hits)} if blacklisted.any() else {}),
    }


def _of_all(right: NDArray[np.bool_], gt_class_hits: NDArray[np.float64]) -> dict[str, float | None]:
    """Errors with no image left out, of ``(N, 5)`` and ``(N,)``."""
    top1, *_, top5 = (100.0 * (1 - right.mean(0))).tolist()
    return {"loc_top1_error": top1, "loc_top5_error": top5, "gt_class_loc_error": _mean(100.0 * (1 - gt_class_hits))}


def error_split(outcomes: LocOutcomes, counted: NDArray[np.bool_]) -> dict[str, float]:
    """Percent of the counted images, of which there is one at least, by their guesses; see :func:`loc_metrics`."""
    class_found, box_hit = outcomes.class_hits[counted].any(1), outcomes.box_hits[counted].any(1)
    right = (outcomes.class_hits & outcomes.box_hits)[counted].any(1)
    shares = {
        "correct": right,
        "class_wrong": ~class_found & box_hit,
        "box_wrong": class_found & ~right,
        "both_wrong": ~class_found & ~box_hit,
    }
    return {name: 100.0 * float(share.mean()) for name, share in shares.items()}


def _check(predictions: LocPredictions, records: Records) -> None:
    if len(predictions) != len(records):
        raise InputError(f"{records.root}: {len(records)} images, but predictions for {len(predictions)}")
    unlabelled = np.flatnonzero(records.labels.numpy() < 0)
    if len(unlabelled):
        raise InputError(f"{records.file(int(unlabelled[0]))}: its class is not known, so no error can be computed")
    if not len(records.boxes):
        raise InputError(f"{records.root}: not one of the {len(records)} images has a box to hold predictions against")


def _best_iou(guesses: NDArray[np.float64], records: Records) -> NDArray[np.float64]:
    """``(N, k)``: how well each of ``(N, k, 4)`` boxes overlaps the true box of the image's class it fits best."""
    records = records.with_own_boxes()
    owner = records.box_images().numpy()  # (M,)
    truth = records.boxes.numpy().astype(np.float64)
    truth[:, 2:] -= 1  # inclusive pixels again, as the annotation file had them
    iou = inclusive_iou(guesses[owner], truth[:, None])  # (M, k)
    best = np.full(guesses.shape[:2], NO_OVERLAP)
    images, starts = np.unique(owner, return_index=True)
    if len(images):
        best[images] = np.maximum.reduceat(iou, starts, axis=0)
    return best


def _mean(sample: NDArray[np.float64]) -> Any:
    """The mean over images, or None where an image's value is unknown or there is no image."""
    return sample.mean(0).tolist() if len(sample) and not np.isnan(sample).any() else None


def _interval(sample: NDArray[np.float64]) -> Any:
    """``[low, high]``, one for each column where there are several, or None as :func:`_mean`."""
    return mean_interval(sample).T.tolist() if len(sample) and not np.isnan(sample).any() else None


def _by_name(samples: dict[str, NDArray[np.float64]], of: Callable[[NDArray[np.float64]], Any]) -> dict[str, Any]:
    """``of`` each sample by its key in the metrics file; ``cls`` and ``loc`` have a column for each k = 1 .. 5."""
    values = {name: of(sample) for name, sample in samples.items()}
    cls, loc = values.pop("cls"), values.pop("loc")
    top_k = {str(k): {"cls_error": c, "loc_error": b} for k, (c, b) in enumerate(zip(cls, loc, strict=True), 1)}
    ends = {
        "cls_top1_error": cls[0],
        "cls_top5_error": cls[-1],
        "loc_top1_error": loc[0],
        "loc_top5_error": loc[-1],
    }
    return {"top_k": top_k, **ends, **values}
