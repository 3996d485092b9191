"""Detection: what ``tools/train_det.py`` reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from resdet.config.backbone import BackboneConfig
from resdet.config.checks import (
    MOST_BOXES,
    MOST_PIXELS,
    at_least,
    at_most,
    channels,
    each_above_zero,
    low_high,
    mean_and_std,
    one_of,
    region_overlaps,
    rising,
    share,
    some_above_zero,
    workers,
)
from resdet.config.train import TrainConfig, check_not_only_for_classes
from resdet.errors import UsageError

LEVELS = 5  # of a feature pyramid: conv2 to conv5, and one at half of that


@dataclass(frozen=True)
class DetDataConfig:
    train: str = ""  # FORMAT:ROOT[:SPLIT]
    val: str = ""
    shorter: int = 600  # an image is scaled until its shorter side has so many pixels,
    longer: int = 1000  # but its longer side no more than so many
    multiple: int = 32  # the sides of a padded batch are whole multiples of it: fewer shapes for the memory pool
    group: bool = True  # wide images share batches with wide ones and tall with tall: less padding
    workers: int = 2  # loader processes; 0 loads in the training process
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)  # RGB in 0 .. 255, subtracted from every pixel
    std: tuple[float, ...] = (58.395, 57.12, 57.375)  # then divided by

    def __post_init__(self) -> None:
        at_least("data", self, 16, "shorter", "longer")
        if self.shorter > self.longer:
            raise UsageError(f"data.shorter {self.shorter} is above data.longer {self.longer}")
        at_least("data", self, 1, "multiple")
        for name in ("shorter", "multiple"):
            at_most(f"data.{name}", (getattr(self, name),), MOST_PIXELS)
        workers("data", self)
        mean_and_std(self.mean, self.std)


@dataclass(frozen=True)
class DetAugmentConfig:
    """How a training image differs from a test image; the paper has the mirror alone."""

    mirror: float = 0.5  # probability
    scale: tuple[float, ...] = (1.0, 1.0)  # lowest and highest factor on data.shorter and data.longer, drawn evenly
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    color_probability: float = 0.8

    def __post_init__(self) -> None:
        low_high("augment.scale", self.scale)
        share("augment", self, "mirror", "color_probability")
        at_least("augment", self, 0, "brightness", "contrast", "saturation", "hue")
        if self.hue > 0.5:
            raise UsageError(f"augment.hue must be at most 0.5, half the circle of colours, got {self.hue}")


@dataclass(frozen=True)
class FPNConfig:
    """A feature pyramid with its box head (Lin et al. 2017); the defaults are torchvision's."""

    channels: int = 256  # of every level
    norm: bool = False  # batch norm behind its convolutions, in place of biases
    box_convs: int = 0  # 3x3 convolutions of the box head, with batch norm,
    box_layers: int = 2  # then fully connected layers
    box_channels: int = 1024  # with so many outputs

    def __post_init__(self) -> None:
        at_least("model.fpn", self, 1, "channels", "box_layers", "box_channels")
        at_least("model.fpn", self, 0, "box_convs")


@dataclass(frozen=True)
class DetectorConfig:
    """Faster R-CNN (App. A); what the paper leaves to Faster R-CNN has that paper's or its code's value."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    weights: str = ""  # a detector that training starts from (App. B: VOC from COCO), its classes the same or others
    neck: str = "c4"  # conv1 .. conv4 are shared, conv5 runs for each region; or "fpn", a feature pyramid
    fpn: FPNConfig = field(default_factory=FPNConfig)
    freeze: int = 0  # stages that never learn: 2 is conv1 and conv2_x, as is common; the paper says nothing of it
    schedule: str = "joint"  # approximate joint training, or "alternating": the four steps of Faster R-CNN
    anchor_sizes: tuple[float, ...] = (128.0, 256.0, 512.0)  # sqrt of the area, pixels; COCO adds 64; fpn: one a level
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # height / width
    anchor_offset: float = 0.5  # where in its cell an anchor's centre lies; torchvision and detectron2 have it at 0
    anchor_rounded: bool = False  # whole pixels for the anchors' sides, as in torchvision
    rpn_channels: int = 512  # of the 3x3 convolution before the siblings
    rpn_depth: int = 1  # how many of these there are
    anchors_per_image: int = 256
    anchor_positive: float = 0.5  # largest share of objects among them
    positive_iou: float = 0.7  # the best anchor of each box is positive too
    negative_iou: float = 0.3
    inside_anchors: bool = True  # anchors that cross the image's edge are left out in training
    pre_nms: int = 12000  # in training; test.* has its own four
    proposals: int = 2000
    proposal_nms: float = 0.7
    min_side: float = 16.0  # proposals that are thinner are dropped; pixels of the scaled image (a choice)
    pool: str = "align"  # or "pool": RoI pooling, as in the paper; align came two years later and is better
    pool_size: int = 14  # conv5 halves it; 7 is usual for fpn
    pool_sampling: int = 0  # samples of align a bin and axis; 0: as many as the bin has cells
    pool_aligned: bool = True  # of align; false: half a cell off, as it was at first and is in torchvision
    unused_outputs: int = 0  # of the classifier, behind background and counted as such; for weights from elsewhere
    context: bool = False  # global context (App. B): the whole image as one more region, beside each
    regions_per_image: int = 64  # 128 from two images
    region_positive: float = 0.25  # largest share of objects among them
    foreground_iou: float = 0.5
    background_iou: tuple[float, ...] = (0.0, 0.5)  # from, to below
    object_weight: float = 1.0  # of each loss: objectness and boxes of anchors,
    proposal_weight: float = 1.0
    class_weight: float = 1.0  # classes and boxes of regions
    box_weight: float = 1.0
    proposal_beta: float = 1.0 / 9.0  # where smooth L1 turns linear: sigma = 3 for anchors,
    box_beta: float = 1.0  # and 1 for regions

    def __post_init__(self) -> None:
        one_of("model.neck", self.neck, ("c4", "fpn"))
        self._check_neck()
        one_of("model.freeze", self.freeze, (0, 1, 2, 3, 4))
        one_of("model.schedule", self.schedule, ("joint", "alternating"))
        one_of("model.pool", self.pool, ("align", "pool"))
        if self.backbone.family != "imagenet":
            raise UsageError(f"model.backbone.family must be imagenet for detection, got {self.backbone.family!r}")
        some_above_zero("model", self, "anchor_sizes", "anchor_ratios")
        channels("model", self, "rpn_channels")
        at_least("model", self, 1, "rpn_depth", "anchors_per_image", "regions_per_image", "pool_size")
        at_least("model", self, 0, "pool_sampling", "unused_outputs")
        at_most("model.pool_size", (self.pool_size,), 2**10)
        at_least("model", self, 0, "object_weight", "proposal_weight", "class_weight", "box_weight")
        share("model", self, "anchor_positive", "region_positive", "foreground_iou")
        _check_proposals("model", self)
        share("model", self, "positive_iou", "negative_iou")
        if self.negative_iou > self.positive_iou:
            raise UsageError(f"model.negative_iou {self.negative_iou} is above model.positive_iou {self.positive_iou}")
        region_overlaps(self.foreground_iou, self.background_iou)
        each_above_zero("model.proposal_beta", (self.proposal_beta,))
        each_above_zero("model.box_beta", (self.box_beta,))

    def _check_neck(self) -> None:
        share("model", self, "anchor_offset")
        if self.neck == "c4":
            return
        if len(self.anchor_sizes) != LEVELS:
            raise UsageError(f"model.anchor_sizes: fpn has {LEVELS} levels, one size each, got {self.anchor_sizes}")
        if self.pool != "align":
            raise UsageError("model.pool must be align for fpn")
        if self.schedule != "joint":
            raise UsageError("model.schedule must be joint for fpn: the four steps share conv1 .. conv4")
        if self.backbone.stem != "7x7" or self.backbone.dilate_conv5:
            raise UsageError("model.neck=fpn wants model.backbone.stem=7x7 and dilate_conv5=false")


@dataclass(frozen=True)
class DetTestConfig:
    shorter: int = 600
    longer: int = 1000
    pre_nms: int = 6000
    proposals: int = 300
    proposal_nms: float = 0.7
    min_side: float = 16.0
    score_threshold: float = 0.05
    nms_iou: float = 0.3  # within a class
    max_detections: int = 100  # an image, over all classes
    refine: bool = False  # box refinement (App. B): regions are pooled again from their regressed boxes
    refine_box: str = "top"  # that of a region's most probable class, or of "each" class above score_threshold
    vote: bool = False  # box voting (App. B)
    vote_iou: float = 0.5
    scales: tuple[int, ...] = ()  # shorter sides of multi-scale testing (App. B): 200 400 600 800 1000; (): shorter
    batch_size: int = 1

    def __post_init__(self) -> None:
        at_least("test", self, 16, "shorter", "longer")
        if self.shorter > self.longer:
            raise UsageError(f"test.shorter {self.shorter} is above test.longer {self.longer}")
        at_most("test.shorter", (self.shorter,), MOST_PIXELS)
        at_most("test.scales", self.scales, MOST_PIXELS)
        _check_proposals("test", self)
        share("test", self, "score_threshold", "nms_iou", "vote_iou")
        one_of("test.refine_box", self.refine_box, ("top", "each"))
        at_least("test", self, 1, "max_detections", "batch_size")
        each_above_zero("test.scales", self.scales)
        rising("test.scales", self.scales)


def _check_proposals(section: str, config: DetectorConfig | DetTestConfig) -> None:
    at_least(section, config, 1, "pre_nms", "proposals")
    at_most(f"{section}.proposals", (config.proposals,), MOST_BOXES)
    at_least(section, config, 0, "min_side")
    share(section, config, "proposal_nms")


def _det_train() -> TrainConfig:
    """The paper's COCO schedule: 240k steps of 8 images at 0.001 and 80k at a tenth, over 82,783 images.

    Weight decay is Faster R-CNN's, five times the classifier's: App. A takes from there what it does not say.
    """
    return TrainConfig(
        epochs=31.0, lr_drop_epochs=(23.0,), batch_size=8, lr=0.001, weight_decay=5e-4, batch_norm="frozen"
    )


@dataclass(frozen=True)
class DetConfig:
    """What ``tools/train_det.py`` reads."""

    data: DetDataConfig = field(default_factory=DetDataConfig)
    augment: DetAugmentConfig = field(default_factory=DetAugmentConfig)
    model: DetectorConfig = field(default_factory=DetectorConfig)
    train: TrainConfig = field(default_factory=_det_train)
    test: DetTestConfig = field(default_factory=DetTestConfig)

    def __post_init__(self) -> None:
        check_not_only_for_classes(self.train)
        for name in ("sizes", "label_smoothing"):
            if getattr(self.train, name):
                raise UsageError(f"train.{name} is a setting of classification and localization")
        largest = self.data.shorter * self.augment.scale[1]
        at_most("data.shorter times augment.scale", (largest,), MOST_PIXELS)
        if self.model.inside_anchors and min(self.model.anchor_sizes) > self.data.shorter:
            raise UsageError(
                f"model.anchor_sizes: not one of {self.model.anchor_sizes} is inside an image whose data.shorter is "
                f"{self.data.shorter}: there would be nothing to learn from (or set model.inside_anchors=false)"
            )
