"""The report on a data set's localizations: the metrics, and the page that shows where the errors are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resdet.cli import write_json
from resdet.data.drawn import open_as_drawn_on
from resdet.data.records import Records
from resdet.errors import InputError
from resdet.eval.loc import LocOutcomes, loc_metrics, loc_outcomes
from resdet.eval.loc_breakdown import loc_breakdown, worst_images
from resdet.predictions.inclusive import from_inclusive
from resdet.predictions.loc import MAX_GUESSES, LocPredictions
from resdet.report.loc_page import loc_page
from resdet.report.pictures import draw, fitted
from resdet.structures import Detections, View

LARGEST_SIDE = 640  # pixels of a picture on the page
LEGEND = (
    "Wrong with all five guesses; first those whose box for the true class (where that is not known, the best box of "
    "any guess) has the least intersection over union with a true box, and of one IoU those of the largest object. "
    "True boxes are dashed in white; the number at a box is its IoU."
)


@dataclass(frozen=True)
class Judged:
    """Localizations of a data set, compared with its annotations."""

    predictions: LocPredictions
    records: Records
    outcomes: LocOutcomes
    left_out: NDArray[np.bool_]  # (N,): the images that are blacklisted
    metrics: dict[str, Any]  # of loc_metrics and loc_breakdown; more may be added


def judge(predictions: LocPredictions, records: Records, left_out: NDArray[np.bool_]) -> Judged:
    """Count the errors.

    Raises:
        InputError: as :func:`resdet.eval.loc.loc_outcomes` and :func:`resdet.eval.loc.loc_metrics`.
    """
    outcomes = loc_outcomes(predictions, records)
    metrics = loc_metrics(outcomes, left_out) | loc_breakdown(outcomes, records, left_out)
    return Judged(predictions, records, outcomes, left_out, metrics)


def write_judged(judged: Judged, json_file: Path | None, html_file: Path | None, folder: Path | None) -> None:
    """Write the metrics, and the page; each to its file and, where there is a folder, into that as well."""
    for file in filter(None, (json_file, folder and folder / "eval.json")):
        write_json(file, judged.metrics)
    pages = [file for file in (html_file, folder and folder / "errors.html") if file]
    if pages:
        page = _errors_page(judged)
        for file in pages:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(page, encoding="utf-8")


def _errors_page(judged: Judged) -> str:
    """The page, in one piece; an image that cannot be opened has its caption alone."""
    worst = worst_images(judged.outcomes, judged.records, judged.left_out).tolist()
    shown: list[tuple[np.ndarray | None, str]] = []
    for index in worst:
        picture, trouble = _picture(judged, index)
        shown.append((picture, caption(judged, index) + trouble))
    note = LEGEND if worst else "Not one image is wrong."
    if worst and all(picture is None for picture, _ in shown):
        note += " There are no pictures: not one of these images could be opened."
    return loc_page(f"Localization errors on {judged.records.root}", judged.metrics, shown, note)


def caption(judged: Judged, index: int) -> str:
    """What went wrong with one image, in lines."""
    names, label = judged.records.classes.names, int(judged.records.labels[index])
    iou = judged.outcomes.iou[index]
    guesses = zip(judged.predictions.labels[index, :MAX_GUESSES].tolist(), iou[:-1], strict=False)
    made = [f"{names[guess]} {max(0.0, fit):.2f}" for guess, fit in guesses if guess >= 0]
    of_class = "unknown" if np.isnan(iou[-1]) else f"IoU {max(0.0, iou[-1]):.2f}"
    lines = [
        judged.records.path(index),
        f"true: {names[label]}; the box for it: {of_class}",
        "the class was guessed, its box is wrong" if judged.outcomes.class_hits[index].any() else "the class is wrong",
        "guesses: " + (", ".join(made) or "none"),
    ]
    return "\n".join(lines)


def _picture(judged: Judged, index: int) -> tuple[np.ndarray | None, str]:
    """The image with its boxes; or nothing, and a line to say why."""
    target = judged.records.target(index)
    try:
        image = open_as_drawn_on(judged.records, index)
        pixels = image.view(View((0, 0, image.width, image.height), image.width, image.height))
    except InputError as error:
        return None, f"\nno picture: {error}"
    truth = target.boxes[target.labels == target.label]
    picture = draw(pixels, _drawn(judged, index), judged.records.classes.names, truth)
    return fitted(picture, min(LARGEST_SIDE, max(picture.shape[:2]))), ""


def _drawn(judged: Judged, index: int) -> Detections:
    """The guesses of one image, and the true class's box where it is known and no guess; for scores their IoU."""
    predictions, label = judged.predictions, int(judged.records.labels[index])
    labels, boxes = predictions.labels[index, :MAX_GUESSES], predictions.boxes[index, :MAX_GUESSES]
    iou = judged.outcomes.iou[index]
    fits = iou[: len(labels)]
    if predictions.gt_class_boxes is not None and not judged.outcomes.class_hits[index].any() and not np.isnan(iou[-1]):
        labels, fits = np.append(labels, label), np.append(fits, iou[-1])
        boxes = np.concatenate((boxes, predictions.gt_class_boxes[index, None]))
    made = labels >= 0
    edges = torch.from_numpy(from_inclusive(boxes[made], 0).astype(np.float32))
    return Detections(edges, torch.from_numpy(fits[made].clip(0).astype(np.float32)), torch.from_numpy(labels[made]))
