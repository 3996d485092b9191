"""Backbones from settings, and a model on its device."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from resdet.backbones import Backbone
from resdet.backbones.cifar import CifarResNet
from resdet.backbones.resnet import ResNet, zero_init_residual
from resdet.config import BackboneConfig

Net = TypeVar("Net", bound=nn.Module)


def build_backbone(how: BackboneConfig, classes: int) -> Backbone:
    """A backbone with a classifier of ``classes`` outputs, its weights drawn at random."""
    backbone: Backbone
    if how.family == "cifar":
        backbone = CifarResNet(how.depth, classes, shortcut=shortcut_of(how))
    else:
        backbone = ResNet(
            how.depth,
            classes,
            stem=how.stem,
            stride_in=how.stride_in,
            width=how.width,
            dilate_conv5=how.dilate_conv5,
            shortcut=shortcut_of(how),
        )
    if how.zero_init_residual:
        zero_init_residual(backbone)
    return backbone


def place(model: Net, device: torch.device, channels_last: bool) -> Net:
    """The model on its device, its convolutions laid out for it."""
    return model.to(device, memory_format=torch.channels_last if channels_last else torch.preserve_format)


def shortcut_of(how: BackboneConfig) -> str:
    """The option that is meant: the paper's own where none is named (Table 4; Sec. 4.2)."""
    return how.shortcut or ("A" if how.family == "cifar" else "B")
