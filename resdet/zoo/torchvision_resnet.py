"""ImageNet weights by torchvision's names: ``torchvision:NAME`` or ``torchvision:NAME=FILE``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from resdet.backbones.resnet import BLOCKS
from resdet.backbones.weights import backbone_of
from resdet.zoo.resnet import PretrainedResNet, renormalised
from resdet.zoo.torchvision_api import entry_state, find_entry

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of all its ImageNet weights; RGB in 0 .. 255
DEPTHS = {f"ResNet{depth}_Weights": depth for depth in BLOCKS}


def torchvision_resnet(name: str) -> PretrainedResNet:
    """The weights that ``torchvision:NAME`` or ``torchvision:NAME=FILE`` names.

    Args:
        name: NAME is of torchvision's weights API, such as ``ResNet50_Weights.IMAGENET1K_V2``.  FILE is a state dict
            of the same architecture; nothing is downloaded then.

    Raises:
        InputError: not a name of a ResNet-18 to 152, an unreadable file, or a download that failed.
    """
    entry = find_entry(name, tuple(DEPTHS))
    state = backbone_of(entry_state(name, entry))
    how = entry.transforms()
    return PretrainedResNet(
        name,
        state,
        DEPTHS[type(entry).__name__],
        stride_in="3x3",
        mean=tuple(round(255 * m, 3) for m in how.mean),
        std=tuple(round(255 * s, 3) for s in how.std),
        resize=how.resize_size[0],
        crop=how.crop_size[0],
    )


def torchvision_state(state: Mapping[str, Tensor], mean: Sequence[float], std: Sequence[float]) -> dict[str, Tensor]:
    """The way back: a state dict of ours for torchvision's ResNet, with images normalised as torchvision does it.

    The names are the same.  The network must be one that torchvision has: option B, the stem of 7x7 and, from
    ResNet-50 on, the stride on the 3x3.

    Args:
        mean, std: that ``state`` goes with; RGB in 0 .. 255.
    """
    return renormalised(dict(state), mean, std, MEAN, STD)
