"""Backbones from settings, their first weights, and a model on its device."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from resdet.backbones import Backbone
from resdet.backbones.cifar import CifarResNet
from resdet.backbones.resnet import ResNet, zero_init_residual
from resdet.backbones.weights import backbone_of, load_into, read_state
from resdet.config import BackboneConfig, DataConfig, DetDataConfig
from resdet.data.lists import imagenet_wnids
from resdet.data.records import Classes
from resdet.engine import checkpoint
from resdet.errors import ForeignFile, InputError
from resdet.zoo.named import named_resnet
from resdet.zoo.resnet import check_architecture, renormalised

Net = TypeVar("Net", bound=nn.Module)


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


def load_backbone(
    backbone: Backbone, how: BackboneConfig, data: DataConfig | DetDataConfig, classes: Classes | None = None
) -> None:
    """Start from the weights that ``how.weights`` names, if any.

    Published weights are re-expressed for images normalised as ``data`` says; checkpoints of ours are taken as they
    are, for they were trained with settings like these.

    Args:
        classes: that the backbone's classifier is for; None: it is not used.

    Raises:
        InputError: weights that cannot be read or do not fit, or are of as many classes that are others.
    """
    if not how.weights:
        return
    if found := named_resnet(how.weights):
        check_architecture(found, how.depth, how.stride_in, how.stem, how.family, _shortcut(how))
        state = renormalised(found.state, found.mean, found.std, data.mean, data.std)
        ids = imagenet_wnids()
    else:
        state, ids = _read(Path(how.weights))
    load_into(backbone, state, source=how.weights, skip=("fc.",) if how.new_classifier else ())
    if classes is not None and not how.new_classifier and len(ids) == len(classes) and ids != classes.ids:
        theirs, ours = next((a, b) for a, b in zip(ids, classes.ids, strict=True) if a != b)
        raise InputError(
            f"{how.weights}: has class {theirs!r} where the data set has {ours!r}: its classifier is for others, "
            "model.backbone.new_classifier=true starts without it"
        )


def read_whole_model(name: str, task: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The weights of a checkpoint that training goes on from, and the classes they are for.

    Args:
        task: the kind of model that is wanted, as checkpoints call it: ``"loc"``, ``"det"``.

    Raises:
        InputError: the file is missing, damaged or of another kind.
    """
    saved = checkpoint.load(Path(name))
    if saved.task != task:
        raise InputError(f"{name}: holds a model of the kind {saved.task!r}: it is for model.backbone.weights")
    return saved.model, saved.class_ids


def place(model: Net, device: torch.device, channels_last: bool) -> Net:
    """The model on its device, its convolutions laid out for it."""
    return model.to(device, memory_format=torch.channels_last if channels_last else torch.preserve_format)


def _read(file: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """A backbone's state dict and the classes of its classifier; none of another's file, which does not say."""
    try:
        saved = checkpoint.load(file)
    except ForeignFile:  # only then: a damaged file's classes are told nowhere else, nor that it is damaged
        return read_state(file), ()
    return backbone_of(saved.model), saved.class_ids


def _shortcut(how: BackboneConfig) -> str:
    """The option that is meant: the paper's own where none is named (Table 4; Sec. 4.2)."""
    return how.shortcut or ("A" if how.family == "cifar" else "B")
