"""From settings to objects: the only module that knows both the config and the models."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from resdet.backbones.resnet import ResNet
from resdet.config import BackboneConfig, ClsConfig, DataConfig, TrainConfig
from resdet.data.loading import Plan, TestImages, TrainingImages, test_loader, training_loader
from resdet.data.records import Classes, Records
from resdet.engine import checkpoint
from resdet.engine.distributed import Process
from resdet.errors import InputError
from resdet.models.classifier import Classifier


def build_backbone(how: BackboneConfig, classes: int) -> ResNet:
    """A backbone with a classifier of ``classes`` outputs, its weights drawn at random."""
    return ResNet(how.depth, classes, stem=how.stem, stride_in=how.stride_in, dilate_conv5=how.dilate_conv5)


def build_classifier(config: ClsConfig, classes: int) -> Classifier:
    """The classifier of a config, its weights drawn at random."""
    backbone = build_backbone(config.model.backbone, classes)
    return Classifier(backbone, config.data.mean, config.data.std, config.train.label_smoothing)


def load_backbone(backbone: ResNet, how: BackboneConfig) -> None:
    """Start from the weights that ``how.weights`` names, if any."""
    if not how.weights:
        return
    saved = checkpoint.load(Path(how.weights))
    state = {k.removeprefix("backbone."): v for k, v in saved.model.items() if k.startswith("backbone.")}
    backbone.load_state_dict(state)


def plan(data: DataConfig, train: TrainConfig, images: int, me: Process) -> Plan:
    """Which images each step of a training run takes."""
    sizes = train.sizes or ((0.0, data.size),)
    whole = Plan(images, train.batch_size, 0, train.seed, sizes, 0, me.rank, me.processes)
    steps = max(1, round(train.epochs * whole.steps_per_epoch))
    return Plan(images, train.batch_size, steps, train.seed, sizes, 0, me.rank, me.processes)


def place(model: nn.Module, device: torch.device, channels_last: bool) -> nn.Module:
    """The model on its device, its convolutions laid out for it."""
    return model.to(device, memory_format=torch.channels_last if channels_last else torch.preserve_format)
