"""Every setting, with the paper's value as its default; YAML files hold only differences.

The dataclasses are the schema.  ``load_config`` reads a YAML file and ``section.key=value`` overrides into
them; an unknown key is an error that names the nearest known one.  Models never see a config: ``build.py``
translates.
"""

from __future__ import annotations

import difflib
import types
import typing
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from resdet.errors import InputError


@dataclass(frozen=True)
class DataConfig:
    train: str = ""  # FORMAT:ROOT[:SPLIT]
    val: str = ""
    size: int = 224  # side of the training crop and of the 1-crop test, pixels
    resize: int = 256  # shorter side before the centre crop at test, pixels
    workers: int = 2  # loader processes; 0 loads in the training process
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)  # RGB in 0 .. 255, subtracted from every pixel
    std: tuple[float, ...] = (58.395, 57.12, 57.375)  # then divided by


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


@dataclass(frozen=True)
class BackboneConfig:
    depth: int = 50
    stem: str = "7x7"  # or "3x3", "3x3-pool" for small images
    stride_in: str = "1x1"  # the bottleneck's convolution that strides: the paper's; "3x3" is torchvision's
    dilate_conv5: bool = False
    weights: str = ""  # what training starts from: a checkpoint, torchvision:NAME, torchvision:NAME=FILE
    new_classifier: bool = False  # leave the weights' own classifier out: the classes are others

    def __post_init__(self) -> None:
        _one_of("model.backbone.stem", self.stem, ("7x7", "3x3", "3x3-pool"))
        _one_of("model.backbone.stride_in", self.stride_in, ("1x1", "3x3"))


@dataclass(frozen=True)
class TrainConfig:
    epochs: float = 120.0
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
    precision: str = "fp32"  # or "bf16", "fp16" (CUDA, with loss scaling)
    channels_last: bool = True
    seed: int = 0
    log_every: int = 20  # steps
    eval_every: float = 1.0  # epochs

    def __post_init__(self) -> None:
        _one_of("train.schedule", self.schedule, ("step", "cosine"))
        _one_of("train.batch_norm", self.batch_norm, ("train", "frozen"))
        _one_of("train.precision", self.precision, ("fp32", "bf16", "fp16"))
        if self.batch_size % self.accumulate:
            raise InputError(f"train.batch_size {self.batch_size} does not split into {self.accumulate} equal parts")
        if any(after[0] <= before[0] for before, after in zip(self.sizes, self.sizes[1:], strict=False)):
            raise InputError(f"train.sizes must rise in their epochs, got {self.sizes}")
        if self.sizes and self.sizes[0][0] != 0:
            raise InputError(f"train.sizes must begin at epoch 0, got {self.sizes[0][0]}")


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


@dataclass(frozen=True)
class LocTestConfig:
    protocol: str = "1-crop"  # or "dense": fully convolutional over `scales`
    scales: tuple[int, ...] = (224, 256, 384, 480, 640)  # shorter sides
    mirror: bool = False  # dense: each scale's mirror image too
    voting: str = "dense"  # the best box is averaged with its neighbours: "dense", "always" or "never"
    vote_iou: float = 0.5
    batch_size: int = 64

    def __post_init__(self) -> None:
        _one_of("test.protocol", self.protocol, ("1-crop", "dense"))
        _one_of("test.voting", self.voting, ("dense", "always", "never"))


@dataclass(frozen=True)
class ClsTestConfig:
    batch_size: int = 64


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


C = TypeVar("C")


def load_config(kind: type[C], file: Path | None, overrides: typing.Sequence[str] = ()) -> C:
    """Read a config of ``kind`` from a YAML file and ``section.key=value`` words, the words last.

    Raises:
        InputError: the file is missing or not YAML; an unknown setting, with the nearest known one; a value of
            the wrong type; a word without ``=``.
    """
    tree: dict[str, Any] = {}
    if file is not None:
        try:
            tree = yaml.safe_load(file.read_text()) or {}
        except FileNotFoundError:
            raise InputError(f"{file}: no such config") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    return override(kind, tree, overrides, source=str(file or "config"))


def override(kind: type[C], tree: dict[str, Any], overrides: typing.Sequence[str], source: str) -> C:
    """A config from a nested dict with ``section.key=value`` words on top, as ``--set`` gives them."""
    for word in overrides:
        _override(tree, word)
    return from_dict(kind, tree, source)


def from_dict(kind: type[C], tree: dict[str, Any], source: str) -> C:
    """A config from a nested dict, as YAML or a checkpoint holds it; ``source`` is named in errors."""
    try:
        return _build(kind, tree, "", kind())
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def to_dict(config: Any) -> dict[str, Any]:
    """A config as nested plain dicts and lists, every setting included: ``from_dict(type(c), to_dict(c)) == c``."""
    return _plain(asdict(config))


def _override(tree: dict[str, Any], word: str) -> None:
    path, equals, text = word.partition("=")
    if not equals:
        raise InputError(f"{word!r} is not of the form section.key=value")
    *sections, key = path.split(".")
    for section in sections:
        below = tree.setdefault(section, {})
        if not isinstance(below, dict):
            raise InputError(f"{word!r}: {section!r} is not a section")
        tree = below
    tree[key] = yaml.safe_load(text) if text else ""


def _build(kind: type[C], tree: Any, path: str, default: C) -> C:
    if not isinstance(tree, dict):
        raise InputError(f"{path or 'the file'}: wanted settings, got {tree!r}")
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {f.name: getattr(default, f.name) for f in fields(kind)}  # type: ignore[arg-type]
    for key, value in tree.items():
        place = f"{path}.{key}" if path else str(key)
        if key not in values:
            raise InputError(f"unknown setting {place!r}{_nearest(str(key), path, kind)}")
        if is_dataclass(hints[key]):
            values[key] = _build(hints[key], value, place, values[key])  # type: ignore[arg-type]
        else:
            values[key] = _convert(value, hints[key], place)
    return kind(**values)


def _nearest(key: str, path: str, kind: type) -> str:
    close = difflib.get_close_matches(key, [f.name for f in fields(kind)], n=1, cutoff=0.5)
    return f"; did you mean {f'{path}.{close[0]}' if path else close[0]!r}?" if close else ""


def _convert(value: Any, wanted: Any, place: str) -> Any:
    origin = typing.get_origin(wanted)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{place}: wanted a list, got {value!r}")
        inner = typing.get_args(wanted)
        kinds = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else list(inner)
        if len(kinds) != len(value):
            raise InputError(f"{place}: wanted {len(kinds)} values, got {value!r}")
        return tuple(_convert(v, k, f"{place}[{i}]") for i, (v, k) in enumerate(zip(value, kinds, strict=True)))
    if wanted is float and isinstance(value, str):
        try:  # YAML 1.1 reads 1e-4 as a word
            return float(value)
        except ValueError:
            raise InputError(f"{place}: wanted a number, got {value!r}") from None
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted is str and value is None:
        return ""
    if isinstance(wanted, types.UnionType) or not isinstance(value, wanted) or (wanted is int and value is True):
        raise InputError(f"{place}: wanted {getattr(wanted, '__name__', wanted)}, got {value!r}")
    return value


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
