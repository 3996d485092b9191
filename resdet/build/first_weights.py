"""The weights that training starts from, published or of our own, held to the settings that it goes on with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from resdet.backbones.weights import backbone_of, load_into, read_state
from resdet.build.backbone import shortcut_of
from resdet.config import SCHEMAS, BackboneConfig, DataConfig, DetDataConfig, DetectorConfig, LocalizerConfig, from_dict
from resdet.data import pixel_mean
from resdet.data.lists import imagenet_wnids
from resdet.data.records import Classes
from resdet.engine import checkpoint
from resdet.engine.checkpoint import Checkpoint
from resdet.errors import ForeignFile, InputError, UsageError
from resdet.zoo.named import named_resnet
from resdet.zoo.resnet import renormalised

Colors = tuple[float, ...]  # red, green and blue in 0 .. 255


@dataclass(frozen=True)
class FirstWeights:
    """A state dict, and what its file says of it beside."""

    state: dict[str, Tensor]
    class_ids: tuple[str, ...] = ()  # that its classifier tells apart; empty: not said
    normalised: tuple[Colors, Colors] | None = None  # mean and deviation of its images; None: not said
    model: Any = None  # the settings `model.*` that it was trained with; None: not said


def load_backbone(
    backbone: nn.Module, how: BackboneConfig, data: DataConfig | DetDataConfig, classes: Classes | None = None
) -> None:
    """Start from the weights that ``how.weights`` names, if any, for images normalised as ``data`` says.

    Args:
        classes: that the backbone's classifier is for; None: it is not used.

    Raises:
        UsageError: they are of a network of another architecture.
        InputError: weights that cannot be read or do not fit, or a classifier of other classes.
    """
    if not how.weights:
        return
    found = _backbone_weights(how)
    if classes is not None and not how.new_classifier:
        _check_classifier(how.weights, found, classes)
    load_into(backbone, found.state, source=how.weights, skip=("fc.",) if how.new_classifier else ())
    renormalise(backbone, found, data)


def _check_classifier(source: str, found: FirstWeights, classes: Classes) -> None:
    ids, bias = found.class_ids, found.state.get("fc.bias")
    if not any(key.startswith("fc.") for key in found.state):  # MMDetection's, for one
        what = "has no classifier"
    elif bias is not None and bias.numel() != len(classes):
        what = f"its classifier tells {bias.numel()} classes apart, the data set has {len(classes)}"
    elif len(ids) == len(classes) and ids != classes.ids:
        theirs, ours = next((a, b) for a, b in zip(ids, classes.ids, strict=True) if a != b)
        what = f"has class {theirs!r} where the data set has {ours!r}: its classifier is for others"
    else:
        return
    raise InputError(f"{source}: {what}; model.backbone.new_classifier=true starts without it")


def read_whole_model(name: str, task: str, how: BackboneConfig) -> FirstWeights:
    """The weights of a checkpoint that training goes on from, backbone and heads.

    Args:
        task: the kind of model that is wanted, as checkpoints call it: ``"loc"``, ``"det"``.
        how: the backbone of the model that is to take them.

    Raises:
        UsageError: its backbone is of another architecture.
        InputError: the file is missing, damaged or of another kind.
    """
    saved = checkpoint.load(Path(name))
    if saved.task != task:
        raise InputError(f"{name}: holds a model of the kind {saved.task!r}: it is for model.backbone.weights")
    return _of_ours(saved, name, how)


def check_architecture(source: str, theirs: BackboneConfig, ours: BackboneConfig) -> None:
    """Refuse weights for a network that they are not of, before a hundred keys say so, or none does.

    A stride in another place, another stem or a shortcut without parameters leaves every shape as it is, and costs most
    of the accuracy.  ``dilate_conv5`` may differ: the same convolutions look as far on the image at another spacing,
    which training soon makes up for.

    Raises:
        UsageError: the first setting that differs, with both values.
    """
    names = ["family", "depth", "shortcut", "stem", "width"]
    if theirs.depth >= 50:  # basic blocks know no stride_in
        names.append("stride_in")
    for name in names:
        there, here = (shortcut_of(how) if name == "shortcut" else getattr(how, name) for how in (theirs, ours))
        if there != here:
            raise UsageError(
                f"{source}: weights of a network with model.backbone.{name}={there}, the settings have {here}"
            )


def check_heads(
    source: str, theirs: LocalizerConfig | DetectorConfig, ours: LocalizerConfig | DetectorConfig, names: Sequence[str]
) -> None:
    """Refuse the heads of other settings, before their keys say that they do not fit, and not why.

    Anchors may have other sizes and ratios than they were learnt with, which training makes up for: not another number.

    Args:
        names: the settings ``model.*`` that must be equal.

    Raises:
        UsageError: the first setting that differs, with both values.
    """
    names = list(names)
    counts = [len(how.anchor_sizes) * len(how.anchor_ratios) for how in (theirs, ours)]
    if counts[0] != counts[1]:
        names += [n for n in ("anchor_sizes", "anchor_ratios") if len(getattr(theirs, n)) != len(getattr(ours, n))]
    for name in names:
        there, here = map(attrgetter(name), (theirs, ours))
        if there != here:
            raise UsageError(f"{source}: weights with model.{name}={_word(there)}, the settings have {_word(here)}")


def _word(value: Any) -> str:
    """A setting's value as a command line has it."""
    if isinstance(value, tuple):
        return f"[{','.join(f'{number:g}' for number in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def renormalise(backbone: nn.Module, found: FirstWeights, data: DataConfig | DetDataConfig) -> None:
    """Re-express a backbone that has taken ``found`` for images normalised as ``data`` says.

    A mean for every pixel counts with its average.
    """
    if found.normalised is None:
        return
    new_mean = data.mean
    if isinstance(data, DataConfig) and data.pixel_mean:
        new_mean = _average(pixel_mean.read(Path(data.pixel_mean), data.size))
    backbone.load_state_dict(renormalised(backbone.state_dict(), *found.normalised, new_mean, data.std))


def _backbone_weights(how: BackboneConfig) -> FirstWeights:
    """What ``model.backbone.weights`` names: a published network, a checkpoint, or another's file that says nothing."""
    if found := named_resnet(how.weights):
        # their width is not told: shapes tell it
        theirs = BackboneConfig(depth=found.depth, stride_in=found.stride_in, width=how.width)
        check_architecture(how.weights, theirs, how)
        return FirstWeights(found.state, imagenet_wnids(), (found.mean, found.std))
    try:
        saved = checkpoint.load(Path(how.weights))
    except ForeignFile:  # only then: a damaged file's classes are told nowhere else, nor that it is damaged
        return FirstWeights(read_state(Path(how.weights)))
    return replace(_of_ours(saved, how.weights, how), state=backbone_of(saved.model))


def _of_ours(saved: Checkpoint, source: str, how: BackboneConfig) -> FirstWeights:
    """A checkpoint's weights; its settings say how images were normalised, but for a mean for every pixel.

    Raises:
        UsageError: its backbone is of another architecture than ``how``.
        InputError: settings of no task, or a mean that is none.
    """
    if saved.task not in SCHEMAS:
        raise InputError(f"{source}: holds a model of the kind {saved.task!r}, wanted one of {', '.join(SCHEMAS)}")
    config = from_dict(SCHEMAS[saved.task], saved.config, source)
    check_architecture(source, config.model.backbone, how)
    mean = config.data.mean
    if (pixelwise := saved.model.get("mean")) is not None:
        if pixelwise.ndim != 3 or len(pixelwise) != 3:
            raise InputError(f"{source}: mean: wanted (3, height, width), got {tuple(pixelwise.shape)}")
        mean = _average(pixelwise)
    return FirstWeights(saved.model, tuple(saved.class_ids), (mean, config.data.std), config.model)


def _average(mean: Tensor) -> Colors:
    return tuple(mean.double().mean((1, 2)).tolist())
