"""Trained models from the string that names them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from resdet.backbones.weights import load_into
from resdet.build.cls import build_classifier
from resdet.build.det import build_detector
from resdet.build.loc import build_localizer
from resdet.build.rcnn import build_rcnn
from resdet.config import SCHEMAS, AnyConfig, ClsConfig, DetConfig, check_read, override
from resdet.data.lists import imagenet_names, imagenet_wnids
from resdet.data.records import Classes
from resdet.engine import checkpoint
from resdet.errors import InputError
from resdet.models.classifier import Classifier
from resdet.models.faster_rcnn import FasterRCNN
from resdet.models.pcr import AnyLocalizer
from resdet.models.rcnn import RCNN
from resdet.zoo.detector import PretrainedDetector
from resdet.zoo.named import named_detector, named_resnet
from resdet.zoo.resnet import PretrainedResNet

Model = Classifier | AnyLocalizer | RCNN | FasterRCNN
MAKERS: dict[str, Callable[[Any, int], Model]] = {  # by what a checkpoint calls its task
    "cls": build_classifier,
    "loc": build_localizer,
    "rcnn": build_rcnn,
    "det": build_detector,
}


@dataclass(frozen=True)
class Loaded:
    """A trained model and what it was trained as."""

    model: Model
    config: AnyConfig
    classes: Classes
    step: int = 0  # of its training; 0 where it came from elsewhere

    @property
    def task(self) -> str:
        """``"cls"``, ``"loc"``, ``"rcnn"`` or ``"det"``, as a checkpoint has it."""
        return next(task for task, kind in SCHEMAS.items() if isinstance(self.config, kind))


def open_model(weights: Path | str, overrides: tuple[str, ...] = (), use: str | None = None) -> Loaded:
    """The model that a string names, on the CPU, in evaluation mode.

    Args:
        weights: a checkpoint of ours, or a classifier or detector by another's name for it:
            ``torchvision:NAME[=FILE]`` or ``detectron2:NAME=FILE``.
        overrides: ``section.key=value`` words on top of the weights' own config.
        use: what for, see :func:`resdet.config.check_read`: words that are not read then are refused; None: none is.
    """
    if detector := named_detector(str(weights)):
        return _open_detector(detector, overrides, use)
    if resnet := named_resnet(str(weights)):
        return _open_resnet(resnet, overrides, use)
    return _open_checkpoint(Path(weights), overrides, use)


def _open_checkpoint(file: Path, overrides: tuple[str, ...], use: str | None) -> Loaded:
    """A model of ours, as it was trained."""
    saved = checkpoint.load(file)
    classes = Classes(tuple(saved.class_ids), tuple(saved.class_names))
    if saved.task not in SCHEMAS:
        raise InputError(f"{file}: holds a model of the kind {saved.task!r}, wanted one of {', '.join(SCHEMAS)}")
    config = override(SCHEMAS[saved.task], saved.config, overrides, str(file))
    check_read(overrides, saved.task, use)
    model = MAKERS[saved.task](config, len(classes))
    if "mean" in saved.model:  # of every pixel: it has the size that training had, whatever data.size is now
        mean = saved.model["mean"]
        if mean.ndim != 3 or len(mean) != 3 or not mean.numel():
            raise InputError(f"{file}: mean: wanted (3, height, width), got {tuple(mean.shape)}")
        model.mean = torch.zeros(mean.shape)
    load_into(model, saved.model, source=str(file))
    return Loaded(model.eval(), config, classes, saved.step)


def _open_resnet(found: PretrainedResNet, overrides: tuple[str, ...], use: str | None) -> Loaded:
    """A classifier of ImageNet's 1000 classes, tested as its makers test it."""
    if "fc.weight" not in found.state:
        raise InputError(f"{found.source}: has no classifier: it is what training starts from (model.backbone.weights)")
    if (outputs := (found.state["fc.weight"].shape or (0,))[0]) != len(imagenet_wnids()):
        raise InputError(
            f"{found.source}: its classifier tells {outputs} classes apart, and nothing says which: it is what "
            "training starts from (model.backbone.weights), with a data set that does"
        )
    backbone = {"depth": found.depth, "stride_in": found.stride_in}
    data = {"size": found.crop, "resize": found.resize, "mean": list(found.mean), "std": list(found.std)}
    config = override(ClsConfig, {"model": {"backbone": backbone}, "data": data}, overrides, found.source)
    check_read(overrides, "cls", use)
    model = build_classifier(config, len(imagenet_wnids()))
    load_into(model.backbone, found.state, source=found.source)
    return Loaded(model.eval(), config, Classes(imagenet_wnids(), imagenet_names()))


def _open_detector(found: PretrainedDetector, overrides: tuple[str, ...], use: str | None) -> Loaded:
    """A detector of the classes it came with, tested as its makers test it."""
    config = override(DetConfig, dict(found.settings), overrides, found.source)
    check_read(overrides, "det", use)
    model = build_detector(config, len(found.classes))
    load_into(model, found.state, source=found.source)
    return Loaded(model.eval(), config, found.classes)
