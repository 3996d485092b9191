"""From settings to objects: the only module that knows both the config and the models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from resdet.backbones import Backbone
from resdet.backbones.cifar import CifarResNet
from resdet.backbones.resnet import ResNet, zero_init_residual
from resdet.backbones.torchvision_weights import PREFIX, check_architecture, pretrained_resnet
from resdet.backbones.weights import load_into, read_state
from resdet.classification import ClsProtocol
from resdet.config import (
    BackboneConfig,
    ClsConfig,
    ClsTestConfig,
    DataConfig,
    LocConfig,
    TrainConfig,
    override,
)
from resdet.data.lists import imagenet_names, imagenet_wnids
from resdet.data.loading import Plan
from resdet.data.records import Classes
from resdet.engine import checkpoint
from resdet.engine.distributed import Process
from resdet.errors import InputError
from resdet.heads.per_class_rpn import PerClassRPN
from resdet.inference import LocProtocol
from resdet.models.classifier import Classifier
from resdet.models.localizer import Localizer, LocalizerLoss


def build_backbone(how: BackboneConfig, classes: int) -> Backbone:
    """A backbone with a classifier of ``classes`` outputs, its weights drawn at random."""
    backbone: Backbone
    if how.family == "cifar":
        backbone = CifarResNet(how.depth, classes, shortcut=_shortcut(how))
    else:
        backbone = ResNet(
            how.depth,
            classes,
            stem=how.stem,
            stride_in=how.stride_in,
            width=how.width,
            dilate_conv5=how.dilate_conv5,
            shortcut=_shortcut(how),
        )
    if how.zero_init_residual:
        zero_init_residual(backbone)
    return backbone


def _shortcut(how: BackboneConfig) -> str:
    """The option that is meant: the paper's own where none is named (Table 4; Sec. 4.2)."""
    return how.shortcut or ("A" if how.family == "cifar" else "B")


def build_classifier(config: ClsConfig, classes: int) -> Classifier:
    """The classifier of a config, its weights drawn at random."""
    backbone = build_backbone(config.model.backbone, classes)
    return Classifier(backbone, config.data.mean, config.data.std, config.train.label_smoothing)


def build_localizer(config: LocConfig, classes: int) -> Localizer:
    """The localizer of a config, its weights drawn at random."""
    how = config.model
    backbone = build_backbone(how.backbone, classes)
    anchors = len(how.anchor_sizes) * len(how.anchor_ratios)
    channels = backbone.channels[how.feature]
    loss = LocalizerLoss(
        class_loss=how.class_loss,
        anchors_per_image=how.anchors_per_image,
        positive_iou=how.positive_iou,
        negative_iou=how.negative_iou,
        class_weight=how.class_weight,
        object_weight=how.object_weight,
        box_weight=how.box_weight,
        box_beta=how.box_beta,
        label_smoothing=config.train.label_smoothing,
    )
    return Localizer(
        backbone,
        PerClassRPN(channels, how.neck, anchors, classes, share_classes=how.share_classes),
        feature=how.feature,
        anchor_sizes=how.anchor_sizes,
        anchor_ratios=how.anchor_ratios,
        mean=config.data.mean,
        std=config.data.std,
        loss=loss,
    )


def build_protocol(config: LocConfig, size: int = 0) -> LocProtocol:
    """How a localizer is tested; ``size``: the crop's side where it is not the config's."""
    data, test = config.data, config.test
    votes = test.voting in ("always", "greedy") or (test.voting == "dense" and test.protocol == "dense")
    size = size or data.size
    resize = round(data.resize * size / data.size)
    vote_iou = test.vote_iou if votes else None
    greedy = test.voting == "greedy"
    return LocProtocol(test.protocol, size, resize, test.scales, test.mirror, vote_iou, greedy)


def build_cls_protocol(config: ClsConfig | LocConfig, name: str = "") -> ClsProtocol:
    """How a classifier is tested, a localizer's own too; ``name``: the protocol where it is not the config's."""
    data, test = config.data, config.test
    per_position = isinstance(test, ClsTestConfig) and test.dense_average == "probabilities"
    return ClsProtocol(name or test.protocol, data.size, data.resize, test.scales, test.mirror, per_position)


@dataclass(frozen=True)
class Loaded:
    """A trained model and what it was trained as."""

    model: Classifier | Localizer
    config: ClsConfig | LocConfig
    classes: Classes


def open_model(weights: Path | str, overrides: tuple[str, ...] = ()) -> Loaded:
    """The model that a string names, on the CPU, in evaluation mode.

    Args:
        weights: a checkpoint of ours, or a classifier by torchvision's name, ``torchvision:NAME[=FILE]``.
        overrides: ``section.key=value`` words on top of the weights' own config.
    """
    if str(weights).startswith(PREFIX):
        return _open_pretrained(str(weights), overrides)
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


def _open_pretrained(name: str, overrides: tuple[str, ...]) -> Loaded:
    """A classifier of ImageNet's 1000 classes, tested as its makers test it."""
    found = pretrained_resnet(name)
    backbone = {"depth": found.depth, "stride_in": found.stride_in, "stem": found.stem}
    data = {"size": found.crop, "resize": found.resize, "mean": list(found.mean), "std": list(found.std)}
    config = override(ClsConfig, {"model": {"backbone": backbone}, "data": data}, overrides, name)
    model = build_classifier(config, len(imagenet_wnids()))
    load_into(model.backbone, found.state, source=name)
    return Loaded(model.eval(), config, Classes(imagenet_wnids(), imagenet_names()))


def load_backbone(backbone: Backbone, how: BackboneConfig) -> None:
    """Start from the weights that ``how.weights`` names, if any."""
    if not how.weights:
        return
    if how.weights.startswith(PREFIX):
        found = pretrained_resnet(how.weights)
        check_architecture(found, how.depth, how.stride_in, how.stem, how.family, _shortcut(how))
        state = found.state
    else:
        state = read_state(Path(how.weights))
    load_into(backbone, state, source=how.weights, skip=("fc.",) if how.new_classifier else ())


def plan(data: DataConfig, train: TrainConfig, images: int, me: Process) -> Plan:
    """Which images each step of a training run takes."""
    sizes = train.sizes or ((0.0, data.size),)
    endless = Plan(images, train.batch_size, 0, train.seed, sizes, 0, me.rank, me.processes)
    epochs = min(train.epochs, train.stop_epoch or train.epochs)
    return replace(endless, steps=max(1, round(epochs * endless.steps_per_epoch)))


def place(model: nn.Module, device: torch.device, channels_last: bool) -> nn.Module:
    """The model on its device, its convolutions laid out for it."""
    return model.to(device, memory_format=torch.channels_last if channels_last else torch.preserve_format)
