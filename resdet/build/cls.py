"""Classifiers from settings, and how they are tested."""

from __future__ import annotations

from pathlib import Path

import torch

from resdet.build.backbone import build_backbone
from resdet.config import ClsConfig, ClsTestConfig, DataConfig, LocConfig
from resdet.data import pixel_mean
from resdet.inference.cls import ClsProtocol
from resdet.models.classifier import Classifier


def build_classifier(config: ClsConfig, classes: int) -> Classifier:
    """The classifier of a config, its weights drawn at random, a mean for every pixel zero: both are loaded."""
    backbone = build_backbone(config.model.backbone, classes)
    data, how = config.data, config.train
    mean = torch.zeros(3, data.size, data.size) if data.pixel_mean else data.mean
    return Classifier(backbone, mean, data.std, how.label_smoothing, how.mixup)


def load_pixel_mean(model: Classifier, data: DataConfig) -> None:
    """Take the mean image that ``data.pixel_mean`` names, if any; what goes on from a checkpoint has it from there.

    Raises:
        InputError: as :func:`resdet.data.pixel_mean.read`.
    """
    if data.pixel_mean:
        model.mean.copy_(pixel_mean.read(Path(data.pixel_mean), data.size))


def build_cls_protocol(config: ClsConfig | LocConfig, name: str = "") -> ClsProtocol:
    """How a classifier is tested, a localizer's own too; ``name``: the protocol where it is not the config's."""
    data, test = config.data, config.test
    per_position = isinstance(test, ClsTestConfig) and test.dense_average == "probabilities"
    return ClsProtocol(name or test.protocol, data.size, data.resize, test.scales, test.mirror, per_position)
