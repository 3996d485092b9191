"""What looks wrong with predictions before they are evaluated: whether they are of other images, classes or pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resdet.data.records import Records
from resdet.eval.det_pairs import truth_of
from resdet.predictions.det import DetPredictions

NAMED = 5  # classes in one line
SLACK = 1.0  # pixels that a box may reach over the border: roundings do


def sanity_lines(predictions: DetPredictions, records: Records) -> list[str]:
    """A few lines for a person: what was matched with what, and what looks wrong."""
    truth = truth_of(records)
    asked, given = (
        np.bincount(labels, minlength=len(records.classes)) for labels in (truth.labels, predictions.labels)
    )
    seen = len(np.unique(predictions.images))
    lines = [
        f"{len(records)} images with {len(truth.labels)} true boxes ({int(truth.ignored.sum())} of them difficult or "
        f"crowds) of {np.count_nonzero(asked)} classes; {len(predictions)} detections of {np.count_nonzero(given)} "
        f"classes on {seen} images"
    ]
    if np.count_nonzero(given):
        lines.append(f"detections a class: {given.min()} to {given.max()}, median {np.median(given):g}")
    for names, what in (
        (_names((given == 0) & (asked > 0), records), "never detected, so AP 0"),
        (_names(asked == 0, records), "without a true box, so without AP"),
    ):
        if names:
            lines.append(f"{len(names)} classes {what}: {_some(names)}")
    return [*lines, *_strange_boxes(predictions, records)]


def _strange_boxes(predictions: DetPredictions, records: Records) -> list[str]:
    boxes = predictions.boxes
    if not len(boxes):
        return ["no detections at all"]
    lines = []
    if boxes.max() <= 1:
        lines.append("every coordinate is at most 1: wanted are pixels, not shares of the image's sides")
    empty = (boxes[:, 2:] <= boxes[:, :2]).any(1)
    if empty.any():
        hint = "; are they x y width height?" if empty.mean() > 0.1 else ""
        lines.append(f"{empty.sum()} detections are upside down or have no area{hint}")
    outside = _outside(predictions, records)
    if outside.any():
        first = int(outside.argmax())
        image = int(predictions.images[first])
        width, height = records.sizes[image].tolist()
        edges = " ".join(f"{edge:g}" for edge in boxes[first])
        place = f"{records.name(image)}: {edges} in {width} x {height}"
        lines.append(f"{outside.sum()} detections reach outside their image, the first in {place}")
    return lines


def _outside(predictions: DetPredictions, records: Records) -> NDArray[np.bool_]:
    """``(N,)``: whether a box leaves its image by more than a pixel; never where the annotation has no size."""
    sizes = records.sizes.numpy()[predictions.images]
    beyond = (predictions.boxes[:, 2:] > sizes + SLACK) | (predictions.boxes[:, :2] < -SLACK)  # (N, 2): along x, y
    return np.asarray(beyond.any(1) & (sizes > 0).all(1))


def _names(mask: NDArray[np.bool_], records: Records) -> list[str]:
    return [records.classes.names[label] for label in np.flatnonzero(mask)]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
