"""A localizer's answers for a whole annotated data set, and the errors they make."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resdet.data.loading import ViewedImages, view_loader
from resdet.data.records import Records
from resdet.data.relabel import check_labelled, label_map, relabel
from resdet.eval.loc import loc_metrics, loc_outcomes
from resdet.inference.loc import Located, LocProtocol, best_candidates, locate
from resdet.jobs.second_classifier import second_guesses
from resdet.jobs.trained import open_localizer
from resdet.models.pcr import AnyLocalizer
from resdet.predictions.loc import LocPredictions, to_inclusive
from resdet.progress import follow


def predict(
    model: AnyLocalizer,
    records: Records,
    protocol: LocProtocol,
    device: torch.device,
    *,
    precision: str = "fp32",
    batch_size: int = 64,
    workers: int = 0,
    guesses: tuple[Tensor, Tensor] | None = None,
) -> LocPredictions:
    """Localize every image of ``records``, the box for its true class included.

    Args:
        guesses: labels and probabilities from another classifier, see :func:`resdet.inference.loc.locate`.
    """
    images = ViewedImages(records.open, len(records), protocol.views)
    batches = view_loader(images, batch_size, workers)
    shown = follow(batches, len(batches), "localize")
    answers = list(locate(model, shown, protocol, device, precision, guesses=guesses, true_labels=records.labels))
    return as_predictions(answers)


def predict_with(
    weights: Path, settings: Sequence[str], classifier: Path | None, args: argparse.Namespace, records: Records
) -> LocPredictions:
    """What a checkpoint finds in a data set, with the data set's labels.

    Args:
        settings: ``section.key=value`` words on top of what it was trained with.
        classifier: a second checkpoint to take the classes from; None: the localizer's own.
        args: what :func:`resdet.jobs.trained.add_options` asks for.

    Raises:
        InputError: the classes are others than the data set's; no error could be counted; an unreadable image.
        UsageError: not a localizer, or what :func:`resdet.jobs.trained.open_trained` refuses.
    """
    check_labelled(records, with_boxes=True)
    model, protocol, classes, how = open_localizer(weights, settings, args)
    as_trained = relabel(records, classes, weights)
    images = ViewedImages(records.open, len(records), protocol.views)
    found = predict(
        model,
        as_trained,
        protocol,
        how.device,
        precision=how.precision,
        batch_size=how.batch_size,
        workers=how.workers,
        guesses=second_guesses(classifier, args, classes, images) if classifier else None,
    )
    label = label_map(classes, records.classes, weights, records.root).numpy()
    return replace(found, labels=label[found.labels])


def oracle_misses(
    weights: Path, settings: Sequence[str], args: argparse.Namespace, records: Records
) -> NDArray[np.bool_]:
    """The images on which not even the best candidate box for the true class hits; arguments as :func:`predict_with`.

    Returns:
        ``(N,)``: their share is the true-class error that a perfect choice among the candidates would leave.
    """
    model, protocol, classes, how = open_localizer(weights, settings, args)
    images = ViewedImages(records.open, len(records), protocol.views)
    batches = view_loader(images, how.batch_size, how.workers)
    truth = relabel(records, classes, weights).target
    shown = follow(batches, len(batches), "oracle")
    return best_candidates(model, shown, truth, how.device, how.precision).numpy() < 0.5


def as_predictions(answers: Sequence[Located]) -> LocPredictions:
    """Answers in the frame of ILSVRC's files, rounded as a written file would be."""
    width = np.array([a.width for a in answers])
    height = np.array([a.height for a in answers])
    labels = torch.stack([a.labels for a in answers]).numpy()
    boxes = to_inclusive(torch.stack([a.boxes for a in answers]), width[:, None], height[:, None])
    true_boxes = [a.true_class_box for a in answers if a.true_class_box is not None]
    if len(true_boxes) < len(answers):
        return LocPredictions(labels, boxes.astype(np.float64))
    known = to_inclusive(torch.stack(true_boxes), width, height).astype(np.float64)
    return LocPredictions(labels, boxes.astype(np.float64), known)


def metrics(predictions: LocPredictions, records: Records) -> dict[str, Any]:
    """Errors with every image counted: what training watches."""
    return loc_metrics(loc_outcomes(predictions, records), np.zeros(len(records), dtype=bool))
