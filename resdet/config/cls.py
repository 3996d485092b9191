"""Classification: what ``tools/train_cls.py`` reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from resdet.config.backbone import BackboneConfig
from resdet.config.checks import MOST_PIXELS, at_least, at_most, one_of, some_above_zero
from resdet.config.data import AugmentConfig, DataConfig
from resdet.config.train import TrainConfig


@dataclass(frozen=True)
class ClassifierConfig:
    backbone: BackboneConfig = field(default_factory=BackboneConfig)


@dataclass(frozen=True)
class ClsTestConfig:
    protocol: str = "1-crop"  # or "10-crop", or "dense": fully convolutional over `scales`
    scales: tuple[int, ...] = (224, 256, 384, 480, 640)  # shorter sides
    mirror: bool = False  # dense: each scale's mirror image too
    dense_average: str = "logits"  # over positions: before the softmax, or "probabilities", after it
    batch_size: int = 64

    def __post_init__(self) -> None:
        one_of("test.protocol", self.protocol, ("1-crop", "10-crop", "dense"))
        one_of("test.dense_average", self.dense_average, ("logits", "probabilities"))
        some_above_zero("test", self, "scales")
        at_most("test.scales", self.scales, MOST_PIXELS)
        at_least("test", self, 1, "batch_size")


def _cls_augment() -> AugmentConfig:
    return AugmentConfig(keep_object=False)


@dataclass(frozen=True)
class ClsConfig:
    """What ``tools/train_cls.py`` reads."""

    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=_cls_augment)
    model: ClassifierConfig = field(default_factory=ClassifierConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    test: ClsTestConfig = field(default_factory=ClsTestConfig)
