"""Backbones from settings, their first weights, and a model on its device."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from resdet.backbones import Backbone
from resdet.backbones.cifar import CifarResNet
from resdet.backbones.resnet import ResNet, zero_init_residual
from resdet.backbones.weights import load_into, read_state
from resdet.config import BackboneConfig, DataConfig, DetDataConfig
from resdet.zoo.named import named_resnet
from resdet.zoo.resnet import check_architecture, renormalised


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


def load_backbone(backbone: Backbone, how: BackboneConfig, data: DataConfig | DetDataConfig) -> None:
    """Start from the weights that ``how.weights`` names, if any.

    Published weights are re-expressed for images normalised as ``data`` says; checkpoints of ours are taken as they
    are, for they were trained with settings like these.
    """
    if not how.weights:
        return
    if found := named_resnet(how.weights):
        check_architecture(found, how.depth, how.stride_in, how.stem, how.family, _shortcut(how))
        state = renormalised(found.state, found.mean, found.std, data.mean, data.std)
    else:
        state = read_state(Path(how.weights))
    load_into(backbone, state, source=how.weights, skip=("fc.",) if how.new_classifier else ())


def place(model: nn.Module, device: torch.device, channels_last: bool) -> nn.Module:
    """The model on its device, its convolutions laid out for it."""
    return model.to(device, memory_format=torch.channels_last if channels_last else torch.preserve_format)


def _shortcut(how: BackboneConfig) -> str:
    """The option that is meant: the paper's own where none is named (Table 4; Sec. 4.2)."""
    return how.shortcut or ("A" if how.family == "cifar" else "B")
