"""Trained weights opened to be run: a model of the wanted kind on its device, its classes, and how it is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from resdet.backbones.folding import fold_batch_norm, hold_convolutions
from resdet.build import Loaded, build_det_protocol, build_protocol, build_rescoring, open_model, place
from resdet.data.records import Classes
from resdet.engine.distributed import Process, start
from resdet.errors import UsageError
from resdet.inference.det import DetProtocol
from resdet.inference.loc import LocProtocol
from resdet.inference.rcnn import Rescoring
from resdet.models.classifier import Classifier
from resdet.models.faster_rcnn import FasterRCNN
from resdet.models.pcr import AnyLocalizer
from resdet.models.rcnn import RCNN
from resdet.options import Running
from resdet.precision import DTYPES, precision_on

NAMES = {"cls": "a classifier", "loc": "a localizer", "rcnn": "an R-CNN", "det": "a detector"}


@dataclass(frozen=True)
class RunOptions:
    """How a trained model is run."""

    me: Process  # among those that ``torchrun`` started, and its device
    precision: str  # "fp32", "bf16" or "fp16"
    batch_size: int  # images
    workers: int  # loader processes

    @property
    def device(self) -> torch.device:
        return self.me.device


def open_trained(
    weights: Path | str, settings: Sequence[str], running: Running, use: str = ""
) -> tuple[Loaded, RunOptions]:
    """The model of a checkpoint on its device, and how to run it.

    Args:
        settings: ``section.key=value`` words on top of what it was trained with.
        running: on what device, and how many images at once.
        use: one of :data:`resdet.config.running.USES`; empty: what such weights are for.

    Raises:
        UsageError: no such device or setting, or one that is not read in that use.
        InputError: the file is missing, damaged, or not a checkpoint.
    """
    me = start(running.device)
    loaded = open_model(weights, tuple(settings), use)
    fold_batch_norm(loaded.model)  # here, as nothing that is opened to be run learns or is saved
    place(loaded.model, me.device, loaded.config.train.channels_last)
    precision = precision_on(me.device, loaded.config.train.precision)
    if precision in DTYPES:
        hold_convolutions(loaded.model.backbone, DTYPES[precision])
    batch_size = running.batch_size or loaded.config.test.batch_size
    workers = loaded.config.data.workers if running.workers is None else running.workers
    return loaded, RunOptions(me, precision, batch_size, workers)


@dataclass(frozen=True)
class OpenedLocalizer:
    """A trained localizer on its device, how it is tested, its classes, and how it is run."""

    model: AnyLocalizer
    protocol: LocProtocol
    classes: Classes
    how: RunOptions


def open_localizer(weights: Path | str, settings: Sequence[str], running: Running) -> OpenedLocalizer:
    """As :func:`open_trained`, for a localizer.

    Raises:
        UsageError: weights of another kind.
    """
    return as_localizer(*open_trained(weights, settings, running), weights)


def as_localizer(loaded: Loaded, how: RunOptions, weights: Path | str) -> OpenedLocalizer:
    """As :func:`open_localizer`, of weights that are open already."""
    if loaded.task == "det":
        raise UsageError(f"{weights}: a detector: wanted a localizer (tools/eval_det.py measures a detector)")
    if loaded.task == "rcnn":
        raise UsageError(f"{weights}: an R-CNN, which judges a localizer's boxes: it is named by --rcnn")
    if not isinstance(loaded.model, AnyLocalizer):
        raise UsageError(
            f"{weights}: a classifier, which gives no boxes: wanted a localizer (tools/train_loc.py makes one from it; "
            "tools/eval_cls.py measures a classifier)"
        )
    protocol = build_protocol(loaded.config)  # type: ignore[arg-type]  # a localizer comes with a LocConfig
    return OpenedLocalizer(loaded.model, protocol, loaded.classes, how)


@dataclass(frozen=True)
class OpenedRCNN:
    """A trained R-CNN on its device, which boxes it judges and how, its classes, and how it is run."""

    model: RCNN
    rule: Rescoring
    classes: Classes
    how: RunOptions


def open_rcnn(weights: Path | str, settings: Sequence[str], running: Running) -> OpenedRCNN:
    """As :func:`open_trained`, for an R-CNN.

    Raises:
        UsageError: weights of another kind.
    """
    loaded, how = open_trained(weights, settings, running)
    if not isinstance(loaded.model, RCNN):
        raise UsageError(f"{weights}: {NAMES[loaded.task]}: wanted an R-CNN (tools/train_rcnn.py makes one)")
    config: Any = loaded.config  # an RCNNConfig, as an RCNN comes with
    return OpenedRCNN(loaded.model, build_rescoring(config), loaded.classes, how)


@dataclass(frozen=True)
class OpenedClassifier:
    """A trained network that classifies images, on its device, what it was trained as, and how it is run."""

    model: Classifier | AnyLocalizer
    config: Any  # a ClsConfig or a LocConfig: resdet/build alone knows those and models both
    classes: Classes
    how: RunOptions


def open_classifier(
    weights: Path | str, settings: Sequence[str], running: Running, use: str = "classify"
) -> OpenedClassifier:
    """As :func:`open_trained`, for a classifier, or a localizer, which holds one.

    Args:
        use: ``"classify"``, or ``"guess"`` beside localizers.

    Raises:
        UsageError: a detector or an R-CNN.
    """
    return as_classifier(*open_trained(weights, settings, running, use), weights)


def as_classifier(loaded: Loaded, how: RunOptions, weights: Path | str) -> OpenedClassifier:
    """As :func:`open_classifier`, of weights that are open already."""
    if isinstance(loaded.model, FasterRCNN | RCNN):
        kind = NAMES[loaded.task]
        raise UsageError(f"{weights}: {kind}, which says nothing of an image as a whole: wanted a classifier")
    return OpenedClassifier(loaded.model, loaded.config, loaded.classes, how)


@dataclass(frozen=True)
class OpenedDetector:
    """A trained detector on its device, how it is tested, its classes, and how it is run."""

    model: FasterRCNN
    protocol: DetProtocol
    classes: Classes
    how: RunOptions
    has_context: bool  # global context (App. B), which is a matter of training


def open_detector(weights: Path | str, settings: Sequence[str], running: Running) -> OpenedDetector:
    """As :func:`open_trained`, for a detector.

    Raises:
        UsageError: a classifier or a localizer.
    """
    return as_detector(*open_trained(weights, settings, running), weights)


def as_detector(loaded: Loaded, how: RunOptions, weights: Path | str) -> OpenedDetector:
    """As :func:`open_detector`, of weights that are open already."""
    if not isinstance(loaded.model, FasterRCNN):
        kind = NAMES[loaded.task]
        raise UsageError(f"{weights}: {kind}, which does not detect: wanted what tools/train_det.py makes")
    config: Any = loaded.config  # a DetConfig, as a FasterRCNN comes with
    return OpenedDetector(loaded.model, build_det_protocol(config), loaded.classes, how, config.model.context)
