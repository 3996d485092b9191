"""Classifiers from settings, and how they are tested."""

from __future__ import annotations

from resdet.build.backbone import build_backbone
from resdet.config import ClsConfig, ClsTestConfig, LocConfig
from resdet.inference.cls import ClsProtocol
from resdet.models.classifier import Classifier


def build_classifier(config: ClsConfig, classes: int) -> Classifier:
    """The classifier of a config, its weights drawn at random."""
    backbone = build_backbone(config.model.backbone, classes)
    how = config.train
    return Classifier(backbone, config.data.mean, config.data.std, how.label_smoothing, how.mixup)


def build_cls_protocol(config: ClsConfig | LocConfig, name: str = "") -> ClsProtocol:
    """How a classifier is tested, a localizer's own too; ``name``: the protocol where it is not the config's."""
    data, test = config.data, config.test
    per_position = isinstance(test, ClsTestConfig) and test.dense_average == "probabilities"
    return ClsProtocol(name or test.protocol, data.size, data.resize, test.scales, test.mirror, per_position)
