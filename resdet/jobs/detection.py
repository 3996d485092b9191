"""Detectors' answers for a whole annotated data set, one detector's or several's together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from torch import Tensor

from resdet.data.detection import check_annotated_size
from resdet.data.records import Classes, Records
from resdet.data.relabel import label_map
from resdet.data.viewed_images import ViewedImages
from resdet.engine import distributed
from resdet.errors import InputError
from resdet.inference.det import Detected, DetProtocol, detect
from resdet.jobs.all_processes import share_of, shown
from resdet.jobs.trained import OpenedDetector, RunOptions, open_detector
from resdet.models.faster_rcnn import FasterRCNN
from resdet.options import Running
from resdet.predictions.det import DetPredictions, collect
from resdet.predictions.jsonl import not_finite


@dataclass(frozen=True)
class Ensemble:
    """Detectors that answer together in the labels of a data set."""

    models: Sequence[FasterRCNN]
    labels: Sequence[Tensor]  # of each ``(K,)``, its own label of each of the data set's classes
    has_context: Sequence[bool]  # of each
    precisions: Sequence[str]  # of each
    protocol: DetProtocol
    how: RunOptions

    def predict(self, records: Records, title: str = "detect") -> DetPredictions:
        """Detect in every image of ``records``; each process of ``how.me`` takes its share and has all answers.

        Args:
            title: beside the progress.

        Raises:
            InputError: no images; one that cannot be read, or is of another size than its annotation says.
            FloatingPointError: a network has diverged, or overflows; the first image where it did is named.
        """
        if not len(records):
            raise InputError(f"{records.root}: no images to detect in")
        how = self.how
        images = ViewedImages(records.open, len(records), self.protocol.views)
        batches = shown(share_of(images, how.batch_size, how.workers, how.me), title, how.me)
        answers = detect(self.models, batches, self.protocol, how.device, self.precisions, labels=self.labels)
        mine = collect((answer.index, answer.detections) for answer in _checked(answers, records))
        return _in_order(distributed.gather(mine, how.me))


def together(
    detectors: Sequence[OpenedDetector], names: Sequence[str | Path], classes: Classes, source: object
) -> Ensemble:
    """Detectors that answer in the labels of ``classes``; the first one's settings rule.

    Args:
        names: what each is called, for messages, as ``source`` is what has these classes.

    Raises:
        InputError: a class that one of them lacks.
    """
    labels = [
        label_map(classes, one.classes, source, name, among_others=True)
        for one, name in zip(detectors, names, strict=True)
    ]
    models, contexts = [one.model for one in detectors], [one.has_context for one in detectors]
    precisions, first = [one.how.precision for one in detectors], detectors[0]
    return Ensemble(models, labels, contexts, precisions, first.protocol, first.how)


def open_ensemble(
    weights: Sequence[str | Path], settings: Sequence[str], running: Running, records: Records
) -> Ensemble:
    """The detectors that strings name, for a data set; arguments and errors as :func:`predict_with`."""
    detectors = [open_detector(one, settings, running) for one in weights]
    return together(detectors, weights, records.classes, records.root)


def predict_with(
    weights: str | Path | Sequence[str | Path], settings: Sequence[str], running: Running, records: Records
) -> DetPredictions:
    """What one detector, or several together, find in a data set, with the data set's labels.

    Args:
        weights: what names one, or several; each has all classes of the data set, in any order, and may have others.
        settings: ``section.key=value`` words on top of what each was trained with.
        running: on what device, and how many images at once.

    Raises:
        InputError: a class of the data set that weights lack; as :meth:`Ensemble.predict`.
        UsageError: not a detector, or what :func:`resdet.jobs.trained.open_trained` refuses.
    """
    several = [weights] if isinstance(weights, str | Path) else list(weights)
    return open_ensemble(several, settings, running, records).predict(records)


def _in_order(parts: Sequence[DetPredictions]) -> DetPredictions:
    """The detections of all parts, by image; each image's in the order that they have."""
    if len(parts) == 1:
        return parts[0]
    columns = [np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(DetPredictions)]
    together = DetPredictions(*columns)
    return together[together.images.argsort(kind="stable")]


def _checked(answers: Iterator[Detected], records: Records) -> Iterator[Detected]:
    for answer in answers:
        check_annotated_size(records, answer.index, answer.width, answer.height)
        if not answer.finite:
            raise not_finite(records.path(answer.index))
        yield answer
