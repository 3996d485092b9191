"""Trained models from the string that names them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from resdet.backbones.weights import load_into
from resdet.build.backbone import pretrained_resnet
from resdet.build.cls import build_classifier
from resdet.build.loc import build_localizer
from resdet.config import ClsConfig, LocConfig, override
from resdet.data.lists import imagenet_names, imagenet_wnids
from resdet.data.records import Classes
from resdet.engine import checkpoint
from resdet.errors import InputError
from resdet.models.classifier import Classifier
from resdet.models.localizer import Localizer
from resdet.zoo.resnet import PretrainedResNet


@dataclass(frozen=True)
class Loaded:
    """A trained model and what it was trained as."""

    model: Classifier | Localizer
    config: ClsConfig | LocConfig
    classes: Classes


def open_model(weights: Path | str, overrides: tuple[str, ...] = ()) -> Loaded:
    """The model that a string names, on the CPU, in evaluation mode.

    Args:
        weights: a checkpoint of ours, or a classifier by another's name for it: ``torchvision:NAME[=FILE]`` or
            ``detectron2:NAME=FILE``.
        overrides: ``section.key=value`` words on top of the weights' own config.
    """
    if found := pretrained_resnet(str(weights)):
        return _open_pretrained(found, overrides)
    file = Path(weights)
    saved = checkpoint.load(file)
    classes = Classes(tuple(saved.class_ids), tuple(saved.class_names))
    model: Classifier | Localizer
    config: ClsConfig | LocConfig
    if saved.task == "cls":
        config = override(ClsConfig, saved.config, overrides, str(file))
        model = build_classifier(config, len(classes))
    elif saved.task == "loc":
        config = override(LocConfig, saved.config, overrides, str(file))
        model = build_localizer(config, len(classes))
    else:
        raise InputError(f"{file}: holds a model of the kind {saved.task!r}, wanted cls or loc")
    load_into(model, saved.model, source=str(file))
    return Loaded(model.eval(), config, classes)


def _open_pretrained(found: PretrainedResNet, overrides: tuple[str, ...]) -> Loaded:
    """A classifier of ImageNet's 1000 classes, tested as its makers test it."""
    if "fc.weight" not in found.state:
        raise InputError(f"{found.source}: has no classifier: it is what training starts from (model.backbone.weights)")
    backbone = {"depth": found.depth, "stride_in": found.stride_in, "stem": found.stem}
    data = {"size": found.crop, "resize": found.resize, "mean": list(found.mean), "std": list(found.std)}
    config = override(ClsConfig, {"model": {"backbone": backbone}, "data": data}, overrides, found.source)
    model = build_classifier(config, len(imagenet_wnids()))
    load_into(model.backbone, found.state, source=found.source)
    return Loaded(model.eval(), config, Classes(imagenet_wnids(), imagenet_names()))
