"""ImageNet weights by torchvision's names: ``torchvision:NAME``, downloaded, or ``torchvision:NAME=FILE``."""

from __future__ import annotations

import contextlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

from torch import Tensor

from resdet.backbones.resnet import BLOCKS
from resdet.backbones.weights import read_state
from resdet.errors import InputError
from resdet.tensor_file import first_sentence

PREFIX = "torchvision:"


@dataclass(frozen=True)
class PretrainedResNet:
    """The weights of one of torchvision's ResNets, and how they want to be used."""

    source: str  # the name they were asked for by
    state: dict[str, Tensor]
    depth: int
    categories: tuple[str, ...]  # in label order; empty where the file has another number of classes
    mean: tuple[float, ...]  # RGB in 0 .. 255
    std: tuple[float, ...]
    resize: int  # shorter side before the centre crop, pixels
    crop: int  # side of the centre crop, pixels
    # All of torchvision's bottlenecks have the stride on the 3x3.  The shapes are those of the paper's nets, which
    # have it on the first 1x1, so a wrong choice loads without a word and costs most of the accuracy.
    stride_in: str = "3x3"
    stem: str = "7x7"
    family: str = "imagenet"
    shortcut: str = "B"


def pretrained_resnet(name: str) -> PretrainedResNet:
    """The weights that ``torchvision:NAME`` or ``torchvision:NAME=FILE`` names.

    Args:
        name: NAME is of torchvision's weights API, such as ``ResNet50_Weights.IMAGENET1K_V2``.  FILE is a state dict
            of the same architecture; nothing is downloaded then.

    Raises:
        InputError: not a name of a ResNet-18 to 152, an unreadable file, or a download that failed.
    """
    wanted, _, file = name.removeprefix(PREFIX).partition("=")
    entry, depth = _entry(wanted)
    state = read_state(Path(file)) if file else _download(entry, wanted)
    how = entry.transforms()
    categories = tuple(entry.meta["categories"])
    return PretrainedResNet(
        name,
        state,
        depth,
        categories if "fc.bias" in state and len(state["fc.bias"]) == len(categories) else (),
        mean=tuple(round(255 * m, 3) for m in how.mean),
        std=tuple(round(255 * s, 3) for s in how.std),
        resize=how.resize_size[0],
        crop=how.crop_size[0],
    )


def check_architecture(
    weights: PretrainedResNet, depth: int, stride_in: str, stem: str, family: str = "imagenet", shortcut: str = "B"
) -> None:
    """Refuse weights for a network that they are not of, before a hundred keys say so, or none does.

    Raises:
        InputError: the family, the depth, the stem, the shortcuts, or a bottleneck's stride is another.
    """
    settings: list[tuple[str, object, object]] = [
        ("family", weights.family, family),
        ("depth", weights.depth, depth),
        ("stem", weights.stem, stem),
        ("shortcut", weights.shortcut, shortcut),
    ]
    if weights.depth >= 50:  # basic blocks know no stride_in
        settings.append(("stride_in", weights.stride_in, stride_in))
    for setting, theirs, ours in settings:
        if theirs != ours:
            raise InputError(f"{weights.source}: the network's {setting} must be {theirs}, got {ours}")


def _entry(name: str) -> tuple[Any, int]:
    """A member of torchvision's weights enums, and the depth of its network."""
    from torchvision import models  # here: it takes a second, and most runs have no use for it

    depth = re.match(r"ResNet(\d+)_Weights\.", name)
    with contextlib.suppress(ValueError, KeyError):
        if depth and int(depth[1]) in BLOCKS:
            return models.get_weight(name), int(depth[1])
    known = [str(entry) for d in BLOCKS for entry in getattr(models, f"ResNet{d}_Weights")]
    raise InputError(f"{PREFIX}{name}: wanted one of {', '.join(known)}")


def _download(entry: Any, name: str) -> dict[str, Tensor]:
    """Through torchvision's API, into torch's own cache, or from there."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # torch says where it downloads to; stdout is for results
            return entry.get_state_dict(
                map_location="cpu", progress=sys.stderr.isatty(), check_hash=True, weights_only=True
            )
    except (URLError, OSError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(
            f"{PREFIX}{name}: cannot be had from {entry.url}: {first_sentence(error)}; "
            f"a file that is here already is named {PREFIX}{name}=FILE"
        ) from None
