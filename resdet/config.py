"""Every setting, with the paper's value as its default; YAML files hold only differences.

The dataclasses are the schema, and refuse values that cannot be meant.  :mod:`resdet.settings` reads YAML files
and ``section.key=value`` words into them.  Models never see a config: ``build.py`` translates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from resdet.errors import UsageError
from resdet.settings import from_dict as from_dict  # the schema and its reader are used together
from resdet.settings import load_config as load_config
from resdet.settings import override as override
from resdet.settings import to_dict as to_dict


@dataclass(frozen=True)
class DataConfig:
    train: str = ""  # FORMAT:ROOT[:SPLIT]
    val: str = ""
    size: int = 224  # side of the training crop and of the 1-crop test, pixels
    resize: int = 256  # shorter side before the centre crop at test, pixels
    workers: int = 2  # loader processes; 0 loads in the training process
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)  # RGB in 0 .. 255, subtracted from every pixel
    std: tuple[float, ...] = (58.395, 57.12, 57.375)  # then divided by

    def __post_init__(self) -> None:
        _at_least("data", self, 1, "size", "resize")
        _at_least("data", self, 0, "workers")
        for name, values in (("data.mean", self.mean), ("data.std", self.std)):
            if len(values) != 3:
                raise UsageError(f"{name} must be three values, for red, green and blue, got {values}")
        _each_above_zero("data.std", self.std)


@dataclass(frozen=True)
class AugmentConfig:
    """The training view of an image and its colours."""

    crop: str = "shorter_side"  # or "area": a random share of the image at a random aspect ratio
    shorter_side: tuple[int, ...] = (256, 480)  # Sec. 3.4, for a crop of 224; scales with data.size
    area: tuple[float, ...] = (0.08, 1.0)  # share of the image
    aspect: tuple[float, ...] = (0.75, 1.3333)  # width / height
    mirror: float = 0.5  # probability
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.0
    color_probability: float = 0.8
    keep_object: bool = True  # the crop is drawn again until it holds a box, where the image has boxes
    min_visible: float = 0.3  # a box of which less than this share is in the crop is dropped
    crop_tries: int = 10  # crops drawn until one holds a box; then the centre is taken
    clip_boxes: bool = True  # boxes end at the crop's edge; false: targets reach outside

    def __post_init__(self) -> None:
        _one_of("augment.crop", self.crop, ("shorter_side", "area"))
        for name in ("shorter_side", "area", "aspect"):
            _range(f"augment.{name}", getattr(self, name))
        if self.area[1] > 1:
            raise UsageError(f"augment.area are shares of the image, up to 1, got {self.area}")
        _share("augment", self, "mirror", "color_probability", "min_visible")
        _at_least("augment", self, 0, "brightness", "contrast", "saturation", "hue")
        if self.hue > 0.5:
            raise UsageError(f"augment.hue must be at most 0.5, half the circle of colours, got {self.hue}")
        _at_least("augment", self, 1, "crop_tries")


@dataclass(frozen=True)
class BackboneConfig:
    family: str = "imagenet"  # or "cifar": the thin nets of 6n + 2 layers for 32x32 images (Sec. 4.2)
    depth: int = 50
    shortcut: str = ""  # A, B, C, none (a plain net) or gated; empty: the paper's, B and for cifar A
    stem: str = "7x7"  # or "3x3", "3x3-pool" for small images
    stride_in: str = "1x1"  # the bottleneck's convolution that strides: the paper's; "3x3" is torchvision's
    width: int = 64  # channels of conv2_x, doubled at each later stage
    dilate_conv5: bool = False
    weights: str = ""  # what training starts from: a checkpoint, torchvision:NAME, torchvision:NAME=FILE
    zero_init_residual: bool = False  # every block starts as the identity: learns faster at first; not in the paper
    new_classifier: bool = False  # leave the weights' own classifier out: the classes are others

    def __post_init__(self) -> None:
        _one_of("model.backbone.family", self.family, ("imagenet", "cifar"))
        cifar = self.family == "cifar"
        depths = (20, 32, 44, 56, 110, 1202) if cifar else (18, 34, 50, 101, 152)
        _one_of("model.backbone.depth", self.depth, depths)
        _one_of("model.backbone.shortcut", self.shortcut or "B", ("A", "B", "C", "none", "gated"))
        _at_least("model.backbone", self, 1, "width")
        _one_of("model.backbone.stem", self.stem, ("7x7", "3x3", "3x3-pool"))
        _one_of("model.backbone.stride_in", self.stride_in, ("1x1", "3x3"))
        for name, default in (("stem", "7x7"), ("stride_in", "1x1"), ("width", 64), ("dilate_conv5", False)):
            if cifar and getattr(self, name) != default:
                raise UsageError(f"model.backbone.{name} is a setting of the family imagenet: leave it out for cifar")
        if self.shortcut == "none" and self.zero_init_residual:
            raise UsageError("model.backbone.zero_init_residual would stop all signal in a plain net (shortcut none)")


@dataclass(frozen=True)
class TrainConfig:
    epochs: float = 120.0
    stop_epoch: float = 0.0  # end here though the schedule goes on: a first stage under a time limit; 0: never
    batch_size: int = 256  # images a step over all devices
    accumulate: int = 1  # parts a step is computed in, one after another, for little memory
    lr: float = 0.1  # for `batch_size` images; scale both together
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decay_norm_and_bias: bool = True  # the paper decays everything
    schedule: str = "step"  # or "cosine"
    warmup_epochs: float = 0.0  # lr rises linearly from 0
    lr_drop_epochs: tuple[float, ...] = (30.0, 60.0, 90.0)  # for "step": lr is divided by 10 at each
    label_smoothing: float = 0.0
    sizes: tuple[tuple[float, int], ...] = ()  # progressive crops: (from epoch, side); () is data.size throughout
    clip_norm: float = 0.0  # largest norm of the gradient; 0: not clipped
    ema: float = 0.0  # decay of the averaged weights a step; 0: none
    batch_norm: str = "train"  # or "frozen": statistics and affine stay as they came
    batch_norm_images: int = 51_200  # --finish averages batch norm's statistics over so many, or all; 0: it does not
    precision: str = "fp32"  # or "bf16", "fp16" (CUDA, with loss scaling)
    channels_last: bool = True
    seed: int = 0
    log_every: int = 20  # steps
    save_every: int = 1000  # steps between saves of last.pt within an epoch; 0: where it is evaluated alone
    eval_every: float = 1.0  # epochs

    def __post_init__(self) -> None:
        _one_of("train.schedule", self.schedule, ("step", "cosine"))
        _one_of("train.batch_norm", self.batch_norm, ("train", "frozen"))
        _one_of("train.precision", self.precision, ("fp32", "bf16", "fp16"))
        _at_least("train", self, 1, "batch_size", "accumulate", "log_every")
        _at_least("train", self, 0, "stop_epoch", "weight_decay", "warmup_epochs", "clip_norm", "seed", "save_every")
        _at_least("train", self, 0, "batch_norm_images")
        for name in ("epochs", "lr", "eval_every"):
            _each_above_zero(f"train.{name}", (getattr(self, name),))
        _share_below_one("train", self, "momentum", "label_smoothing", "ema")
        if self.batch_size % self.accumulate:
            raise UsageError(f"train.batch_size {self.batch_size} does not split into {self.accumulate} equal parts")
        self._check_schedule()

    def _check_schedule(self) -> None:
        if self.warmup_epochs > self.epochs:
            raise UsageError(f"train.warmup_epochs {self.warmup_epochs} reaches past train.epochs {self.epochs}")
        _rising("train.lr_drop_epochs", self.lr_drop_epochs)
        # the default too: a run of 12 epochs that would drop its rate at 30 never does, which nobody wants unsaid
        if self.schedule == "step" and any(drop >= self.epochs for drop in self.lr_drop_epochs):
            raise UsageError(
                f"train.lr_drop_epochs {self.lr_drop_epochs} reach past train.epochs {self.epochs}: "
                "set them, or train.schedule=cosine"
            )
        _rising("train.sizes", [start for start, _ in self.sizes])
        if self.sizes and self.sizes[0][0] != 0:
            raise UsageError(f"train.sizes must begin at epoch 0, got {self.sizes[0][0]}")
        _each_above_zero("train.sizes", [side for _, side in self.sizes])


@dataclass(frozen=True)
class ClassifierConfig:
    backbone: BackboneConfig = field(default_factory=BackboneConfig)


@dataclass(frozen=True)
class LocalizerConfig:
    """The per-class RPN (App. C).  The paper leaves most of these open: they are choices, each with its reason."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    feature: str = "conv5"  # the map the RPN reads: 7x7 for a 224 crop; or "conv4"
    neck: int = 512  # channels of the 3x3 convolution before the siblings, as in Faster R-CNN
    anchor_sizes: tuple[float, ...] = (64.0, 128.0, 224.0)  # sqrt of the area, pixels; large objects matter here
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # height / width
    class_loss: str = "true"  # the true class's logistic output learns, as PCR knows the class; or "all" K outputs
    share_classes: bool = False  # learn the siblings as a shared part plus one for each class; same network
    anchors_per_image: int = 8  # App. C
    positive_iou: float = 0.7  # Faster R-CNN; the best anchor of each box is positive too
    negative_iou: float = 0.3
    class_weight: float = 1.0  # of the classifier's own loss, kept in training; 0 leaves it out
    object_weight: float = 1.0  # of the logistic loss of the anchors
    box_weight: float = 1.0  # of the smooth L1 loss
    box_beta: float = 1.0 / 9.0  # where smooth L1 turns linear: sigma = 3

    def __post_init__(self) -> None:
        _one_of("model.feature", self.feature, ("conv4", "conv5"))
        _one_of("model.class_loss", self.class_loss, ("true", "all"))
        for name in ("anchor_sizes", "anchor_ratios"):
            if not getattr(self, name):
                raise UsageError(f"model.{name} must name one at least, got none")
            _each_above_zero(f"model.{name}", getattr(self, name))
        _at_least("model", self, 1, "neck", "anchors_per_image")
        _at_least("model", self, 0, "class_weight", "object_weight", "box_weight")
        _share("model", self, "positive_iou", "negative_iou")
        if self.negative_iou > self.positive_iou:
            raise UsageError(f"model.negative_iou {self.negative_iou} is above model.positive_iou {self.positive_iou}")
        _each_above_zero("model.box_beta", (self.box_beta,))


@dataclass(frozen=True)
class LocTestConfig:
    protocol: str = "1-crop"  # or "dense": fully convolutional over `scales`
    scales: tuple[int, ...] = (224, 256, 384, 480, 640)  # shorter sides
    mirror: bool = False  # dense: each scale's mirror image too
    voting: str = "dense"  # the best box and its neighbours vote: "dense", "always", "never"; or "greedy" merging
    vote_iou: float = 0.5
    batch_size: int = 64

    def __post_init__(self) -> None:
        _one_of("test.protocol", self.protocol, ("1-crop", "dense"))
        _one_of("test.voting", self.voting, ("dense", "always", "never", "greedy"))
        if not self.scales:
            raise UsageError("test.scales must name one at least, got none")
        _each_above_zero("test.scales", self.scales)
        _share("test", self, "vote_iou")
        _at_least("test", self, 1, "batch_size")


@dataclass(frozen=True)
class ClsTestConfig:
    protocol: str = "1-crop"  # or "10-crop", or "dense": fully convolutional over `scales`
    scales: tuple[int, ...] = (224, 256, 384, 480, 640)  # shorter sides
    mirror: bool = False  # dense: each scale's mirror image too
    dense_average: str = "logits"  # over positions: before the softmax, or "probabilities", after it
    batch_size: int = 64

    def __post_init__(self) -> None:
        _one_of("test.protocol", self.protocol, ("1-crop", "10-crop", "dense"))
        _one_of("test.dense_average", self.dense_average, ("logits", "probabilities"))
        if not self.scales:
            raise UsageError("test.scales must name one at least, got none")
        _each_above_zero("test.scales", self.scales)
        _at_least("test", self, 1, "batch_size")


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


# Every comparison is written so that NaN fails it.


def _one_of(name: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise UsageError(f"{name} must be one of {', '.join(map(str, known))}, got {value!r}")


def _at_least(section: str, config: object, least: int, *names: str) -> None:
    for name in names:
        if not least <= (value := getattr(config, name)) < float("inf"):
            raise UsageError(f"{section}.{name} must be {least} or more, got {value!r}")


def _share(section: str, config: object, *names: str) -> None:
    for name in names:
        if not 0 <= (value := getattr(config, name)) <= 1:
            raise UsageError(f"{section}.{name} must be from 0 to 1, got {value!r}")


def _share_below_one(section: str, config: object, *names: str) -> None:
    for name in names:
        if not 0 <= (value := getattr(config, name)) < 1:
            raise UsageError(f"{section}.{name} must be from 0 to below 1, got {value!r}")


def _each_above_zero(name: str, values: Sequence[float]) -> None:
    for value in values:
        if not 0 < value < float("inf"):
            raise UsageError(f"{name} must be above 0, got {value!r}")


def _range(name: str, values: Sequence[float]) -> None:
    if len(values) != 2 or not 0 < values[0] <= values[1] < float("inf"):
        raise UsageError(f"{name} must be two values above 0, the lower first, got {values}")


def _rising(name: str, values: Sequence[float]) -> None:
    if not all(before < after for before, after in pairwise(values)):
        raise UsageError(f"{name} must rise, got {tuple(values)}")
