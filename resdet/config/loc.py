"""Localization: what ``tools/train_loc.py`` reads."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from resdet.config.backbone import BackboneConfig
from resdet.config.checks import (
    MOST_PIXELS,
    at_least,
    at_most,
    channels,
    each_above_zero,
    one_of,
    share,
    some_above_zero,
)
from resdet.config.data import AugmentConfig, DataConfig
from resdet.config.train import TrainConfig, check_not_only_for_classes
from resdet.errors import UsageError

METHODS = ("rpn", "pcr")
ONLY_FOR = {  # settings of one method alone
    "rpn": (
        *("feature", "anchor_sizes", "anchor_ratios", "class_loss", "anchors_per_image"),
        *("positive_iou", "negative_iou", "object_weight"),
    ),
    "pcr": ("bins",),
}


@dataclass(frozen=True)
class LocalizerConfig:
    """The per-class RPN (App. C).  The paper leaves most of these open: they are choices, each with its reason."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    weights: str = ""  # a localizer that training goes on from, its classes the same or others; else backbone.weights
    method: str = "rpn"  # or "pcr", VGG's per-class regression from one crop, the paper's baseline; see ONLY_FOR
    feature: str = "conv5"  # the map the RPN reads: 7x7 for a 224 crop; or "conv4"
    neck: int = 128  # channels of the layer before the siblings, a 3x3 convolution; for pcr a fully connected one
    anchor_sizes: tuple[float, ...] = (64.0, 128.0, 224.0)  # sqrt of the area, pixels; large objects matter here
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # height / width
    class_loss: str = "true"  # the true class's logistic output learns, as PCR knows the class; or "all" K outputs
    share_classes: bool = False  # learn each class's weights as a shared part plus its own; same network
    anchors_per_image: int = 8  # App. C
    positive_iou: float = 0.7  # Faster R-CNN; the best anchor of each box is positive too
    negative_iou: float = 0.3
    # of the classifier's own loss, kept in training; 0 leaves it out: what is best then goes by boxes for true classes
    class_weight: float = 1.0
    object_weight: float = 1.0  # of the logistic loss of the anchors
    box_weight: float = 1.0  # of the smooth L1 loss
    box_beta: float = 1.0 / 9.0  # where smooth L1 turns linear: sigma = 3; VGG's Euclidean loss is any that is large
    bins: int = 1  # pcr: parts along each side of conv5 that are averaged apart; 7 keeps all 7x7 cells, as VGG does

    def __post_init__(self) -> None:
        one_of("model.method", self.method, METHODS)
        one_of("model.feature", self.feature, ("conv4", "conv5"))
        one_of("model.class_loss", self.class_loss, ("true", "all"))
        some_above_zero("model", self, "anchor_sizes", "anchor_ratios")
        channels("model", self, "neck")
        at_least("model", self, 1, "anchors_per_image", "bins")
        at_least("model", self, 0, "class_weight", "object_weight", "box_weight")
        share("model", self, "positive_iou", "negative_iou")
        if self.negative_iou > self.positive_iou:
            raise UsageError(f"model.negative_iou {self.negative_iou} is above model.positive_iou {self.positive_iou}")
        each_above_zero("model.box_beta", (self.box_beta,))
        self._check_method()

    def _check_method(self) -> None:
        defaults = {f.name: f.default for f in fields(self)}
        for method, names in ONLY_FOR.items():
            for name in names if method != self.method else ():
                if getattr(self, name) != defaults[name]:
                    raise UsageError(f"model.{name} is for model.method={method}, this is {self.method}")


@dataclass(frozen=True)
class LocTestConfig:
    protocol: str = "1-crop"  # or "dense": fully convolutional over `scales`
    scales: tuple[int, ...] = (224, 256, 384, 480, 640)  # shorter sides
    mirror: bool = False  # dense: each scale's mirror image too
    voting: str = "dense"  # the best box and its neighbours vote: "dense", "always", "never"; or VGG's "greedy" merging
    vote_iou: float = 0.5
    # several localizers: the "union" of their candidates; or, of those with the same anchors and views, each anchor's
    # "mean" score and box
    ensemble: str = "union"
    batch_size: int = 64

    def __post_init__(self) -> None:
        one_of("test.protocol", self.protocol, ("1-crop", "dense"))
        one_of("test.voting", self.voting, ("dense", "always", "never", "greedy"))
        one_of("test.ensemble", self.ensemble, ("union", "mean"))
        some_above_zero("test", self, "scales")
        at_most("test.scales", self.scales, MOST_PIXELS)
        share("test", self, "vote_iou")
        at_least("test", self, 1, "batch_size")


def _loc_train() -> TrainConfig:
    return TrainConfig(epochs=10.0, lr=0.01, lr_drop_epochs=(5.0, 8.0), batch_norm="frozen")


@dataclass(frozen=True)
class LocConfig:
    """What ``tools/train_loc.py`` reads."""

    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: LocalizerConfig = field(default_factory=LocalizerConfig)
    train: TrainConfig = field(default_factory=_loc_train)
    test: LocTestConfig = field(default_factory=LocTestConfig)

    def __post_init__(self) -> None:
        check_not_only_for_classes(self.train)
        if self.data.pixel_mean:
            raise UsageError("data.pixel_mean is for classification: localization subtracts data.mean from every pixel")
