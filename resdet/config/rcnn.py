"""R-CNN of localization: what ``tools/train_rcnn.py`` reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from resdet.config.backbone import BackboneConfig
from resdet.config.checks import MOST_PIXELS, at_least, at_most, each_above_zero, one_of, region_overlaps, share
from resdet.config.det import DetAugmentConfig, DetDataConfig
from resdet.config.train import TrainConfig, check_not_only_for_classes
from resdet.errors import UsageError


@dataclass(frozen=True)
class ProposalsConfig:
    """The boxes that are learnt from: a localizer's best for the true class of each training image (App. C)."""

    weights: str = ""  # of the localizer
    folder: str = ""  # where they are written once, and found again; empty: "proposals" in the run's folder
    protocol: str = "dense"  # how the localizer looks: "1-crop" or "dense", at its own config's scales
    kept: int = 200  # best of an image
    nms_iou: float = 1.0  # those that overlap a better one by more are dropped; 1: none, "they highly overlap"
    min_side: float = 16.0  # thinner ones are dropped; pixels of the image

    def __post_init__(self) -> None:
        one_of("proposals.protocol", self.protocol, ("1-crop", "dense"))
        at_least("proposals", self, 1, "kept")
        at_least("proposals", self, 0, "min_side")
        share("proposals", self, "nms_iou")


@dataclass(frozen=True)
class RCNNModelConfig:
    """What sees a warped box and says whether it is an object of its image's class, and where that is."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    size: int = 224  # side of the warped crop, pixels
    pad: float = 16.0  # of these, on each side, show what is around the box, as in R-CNN (of 227 there)
    class_loss: str = "true"  # the true class's logistic output learns; or "all" K outputs
    share_classes: bool = False  # learn the siblings as a shared part plus one for each class; same network
    crops_per_image: int = 1  # 256 of 256 images: region-centric; more saves reading images, and they vary less
    object_share: float = 0.25  # largest share of objects among a batch's crops
    foreground_iou: float = 0.5
    background_iou: tuple[float, ...] = (0.0, 0.5)  # from, to below
    object_weight: float = 1.0  # of the logistic loss
    box_weight: float = 1.0  # of the smooth L1 loss
    box_beta: float = 1.0  # where smooth L1 turns linear; deltas are in units of 0.1 and 0.2, as Fast R-CNN's

    def __post_init__(self) -> None:
        one_of("model.class_loss", self.class_loss, ("true", "all"))
        at_least("model", self, 1, "crops_per_image")
        at_least("model", self, 8, "size")
        at_most("model.size", (self.size,), MOST_PIXELS)
        at_least("model", self, 0, "pad", "object_weight", "box_weight")
        if 2 * self.pad >= self.size:
            raise UsageError(f"model.pad {self.pad} leaves nothing of model.size {self.size} to the box")
        share("model", self, "object_share", "foreground_iou")
        each_above_zero("model.box_beta", (self.box_beta,))
        region_overlaps(self.foreground_iou, self.background_iou)


@dataclass(frozen=True)
class RCNNTestConfig:
    proposals: int = 200  # best boxes of each class that are looked at again
    share_iou: float = 0.9  # of boxes that overlap by more, whatever their classes, one is cropped for all; 1: each is
    # of R-CNN's scores in what ranks, the rest is the localizer's, a geometric mean; 1: they alone, as App. C has it;
    # 0: R-CNN moves boxes and does not rank
    score_share: float = 1.0
    voting: bool = True  # the best box and its neighbours vote; false: the best box as it is
    vote_iou: float = 0.5
    images: int = 1000  # of the validation set, that training is judged by, evenly spaced; 0: all
    batch_size: int = 64  # images

    def __post_init__(self) -> None:
        at_least("test", self, 1, "proposals", "batch_size")
        at_least("test", self, 0, "images")
        share("test", self, "share_iou", "score_share", "vote_iou")


def _rcnn_data() -> DetDataConfig:
    """Images as large as crops need: the median object of ILSVRC is then about as large as a crop."""
    return DetDataConfig(shorter=320, longer=960)


def _rcnn_train() -> TrainConfig:
    return TrainConfig(epochs=10.0, lr=0.01, lr_drop_epochs=(5.0, 8.0), batch_norm="frozen")


@dataclass(frozen=True)
class RCNNConfig:
    """What ``tools/train_rcnn.py`` reads; ``train.batch_size`` counts images."""

    data: DetDataConfig = field(default_factory=_rcnn_data)
    augment: DetAugmentConfig = field(default_factory=DetAugmentConfig)
    proposals: ProposalsConfig = field(default_factory=ProposalsConfig)
    model: RCNNModelConfig = field(default_factory=RCNNModelConfig)
    train: TrainConfig = field(default_factory=_rcnn_train)
    test: RCNNTestConfig = field(default_factory=RCNNTestConfig)

    def __post_init__(self) -> None:
        check_not_only_for_classes(self.train)
        for name in ("sizes", "label_smoothing"):
            if getattr(self.train, name):
                raise UsageError(f"train.{name} is a setting of classification and of the per-class RPN")
