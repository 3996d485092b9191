"""Where localization goes wrong: for each class, for objects of each size and shape, and on which images most.

An image's object is the largest true box of its class.  An image without one is in no group of objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdet.data.records import Records
from resdet.eval.bootstrap import mean_interval
from resdet.eval.loc import LocOutcomes, error_split

# the groups' lower edges; a group reaches to the next one's, which is not in it
SIDES = (0.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0, 192.0, 256.0, 384.0, 512.0)  # pixels: sqrt of the area
SHARES = (0.0, 5.0, 15.0, 30.0, 60.0)  # % of the image's area
ASPECTS = (0.0, 0.5, 0.8, 1.25, 2.0)  # width / height
WORST = 20


def loc_breakdown(outcomes: LocOutcomes, records: Records, blacklisted: NDArray[np.bool_]) -> dict[str, Any]:
    """Errors in percent, five guesses each, of parts of the images.

    Args:
        blacklisted: ``(N,)``: images that do not count.

    Returns:
        ``per_class`` by class id, ``per_side`` (pixels), ``per_share`` (% of the image; of images whose size the
        annotations tell) and ``per_aspect`` (width / height) by the group's bounds, as ``"16-24"`` or ``"512-"``.
        Each holds, of every group with an image: ``images``, ``cls_top5_error``, ``gt_class_loc_error`` (null unless
        the true class's box is known for all of them), ``loc_top5_error``, its 95 % interval ``ci95``, and ``errors``
        as :func:`resdet.eval.loc.loc_metrics` splits them.  All are of images that count, the class error too.
    """
    labels, counted = records.labels.numpy(), ~blacklisted
    per_class = {
        class_id: {"name": name, **_errors(outcomes, members)}
        for label, (class_id, name) in enumerate(zip(records.classes.ids, records.classes.names, strict=True))
        if (members := counted & (labels == label)).any()
    }
    boxes = object_boxes(records)
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    with np.errstate(divide="ignore", invalid="ignore"):  # of an image without a size, or a box without one
        image_area = np.where((records.sizes > 0).numpy().all(1), records.sizes.numpy().astype(float).prod(1), np.nan)
        measures = {
            "per_side": (np.sqrt(width * height), SIDES),
            "per_share": (100.0 * width * height / image_area, SHARES),
            "per_aspect": (width / height, ASPECTS),
        }
    groups = {name: _grouped(outcomes, counted, values, edges) for name, (values, edges) in measures.items()}
    return {"per_class": per_class, **groups}


def worst_images(
    outcomes: LocOutcomes, records: Records, blacklisted: NDArray[np.bool_], most: int = WORST
) -> NDArray[np.int64]:
    """The images that went wrong furthest: those of the least IoU first, of one IoU those of the largest object.

    What counts is the box for the true class; where that is not known, the best box of any guess.  An image whose
    five guesses hold a right one is not among them.

    Returns:
        At most ``most`` indices.
    """
    boxes = object_boxes(records)
    area = np.nan_to_num((boxes[:, 2:] - boxes[:, :2]).prod(1))
    of_any = np.nan_to_num(outcomes.iou[:, :-1], nan=-1.0).max(1)
    iou = np.where(np.isnan(outcomes.iou[:, -1]), of_any, outcomes.iou[:, -1])
    wrong = np.flatnonzero(~(outcomes.class_hits & outcomes.box_hits).any(1) & ~blacklisted)
    return wrong[np.lexsort((wrong, -area[wrong], iou[wrong]))][:most]


def object_boxes(records: Records) -> NDArray[np.float64]:
    """``(N, 4)``: the largest box of each image's class, NaN where there is none; the first of several as large."""
    records = records.with_own_boxes()
    boxes = records.boxes.numpy().astype(np.float64)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    order = np.lexsort((-np.arange(len(area)), area))  # the largest comes last, and so is the one that stays
    found = np.full((len(records), 4), np.nan)
    found[records.box_images().numpy()[order]] = boxes[order]
    return found


def _grouped(
    outcomes: LocOutcomes, counted: NDArray[np.bool_], values: NDArray[np.float64], edges: Sequence[float]
) -> dict[str, Any]:
    """The errors of each group of images that has one; ``values`` are ``(N,)``, NaN for an image of no group."""
    found = {}
    for low, high in zip(edges, (*edges[1:], np.inf), strict=True):
        members = counted & (values >= low) & (values < high)
        if members.any():
            found[f"{low:g}-{high:g}" if high < np.inf else f"{low:g}-"] = _errors(outcomes, members)
    return found


def _errors(outcomes: LocOutcomes, members: NDArray[np.bool_]) -> dict[str, Any]:
    right = (outcomes.class_hits & outcomes.box_hits)[members].any(1)
    box_hits = outcomes.gt_class_hits[members]
    return {
        "images": int(members.sum()),
        "cls_top5_error": 100.0 * float(1 - outcomes.class_hits[members].any(1).mean()),
        "gt_class_loc_error": None if np.isnan(box_hits).any() else 100.0 * float(1 - box_hits.mean()),
        "loc_top5_error": 100.0 * float(1 - right.mean()),
        "ci95": mean_interval(100.0 * ~right).tolist(),
        "errors": error_split(outcomes, members),
    }
