"""ResNets of detectron2's model zoo, ``detectron2:NAME=FILE``: MSRA's originals, and torchvision's in its names.

Two styles of names are read.  detectron2's own are ``res2.0.conv1.norm.weight``.  detectron's are Caffe2 blobs such as
``res2_0_branch2a_bn_s``, where batch norm is an affine map already: a scale and a bias.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from resdet.errors import InputError
from resdet.zoo import torchvision_resnet
from resdet.zoo.detectron2_file import MEAN, PREFIX, STD, read_published
from resdet.zoo.resnet import PretrainedResNet

NAMES = r"(MSRA/|torchvision/)?R-(18|34|50|101|152)"
EPSILON = 1e-5  # of torch's batch norm

IN_DETECTORS = r"(?:backbone\.(?:bottom_up\.)?|roi_heads\.)((?:stem|res[2-5])\..*)"  # conv5 may run for regions
DETECTRON2 = (
    (r"^(stem\.)?(fc|linear)\.", "fc."),
    (r"^stem\.", ""),
    (r"^res2\.", "layer1."),
    (r"^res3\.", "layer2."),
    (r"^res4\.", "layer3."),
    (r"^res5\.", "layer4."),
    (r"\bconv(\d)\.norm\.", r"bn\1."),
    (r"\bshortcut\.norm\.", "downsample.1."),
    (r"\bshortcut\.", "downsample.0."),
)
CAFFE2 = (
    (r"^(pred|fc1000)_", "linear."),
    (r"^(res_)?conv1_", "stem.conv1."),
    (r"^res(\d)_(\d+)_branch1_", r"res\1.\2.shortcut."),
    (r"^res(\d)_(\d+)_branch2a_", r"res\1.\2.conv1."),
    (r"^res(\d)_(\d+)_branch2b_", r"res\1.\2.conv2."),
    (r"^res(\d)_(\d+)_branch2c_", r"res\1.\2.conv3."),
    (r"\.bn_s$", ".norm.weight"),
    (r"\.bn_b$", ".norm.bias"),
    (r"\.w$", ".weight"),
    (r"\.b$", ".bias"),
)


def detectron2_resnet(name: str) -> PretrainedResNet:
    """The weights that ``detectron2:NAME=FILE`` names, such as ``detectron2:R-50=R-50.pkl``.

    MSRA's networks see BGR and stride in the first 1x1; those that detectron2 took over from torchvision see RGB and
    stride in the 3x3, which either NAME (``torchvision/R-50``) or the file itself says.

    Raises:
        InputError: not such a name, or a file that cannot be read.
    """
    wanted = name.removeprefix(PREFIX).partition("=")[0]
    known = re.fullmatch(NAMES, wanted)
    if not known:
        raise InputError(
            f"{PREFIX}{wanted}: wanted R-50, R-101, R-152, R-34 or R-18, as MSRA/R-50 or torchvision/R-50 too"
        )
    published = read_published(name)
    theirs = published.author == "torchvision"
    if (known[1] == "MSRA/" and theirs) or (known[1] == "torchvision/" and published.author not in ("torchvision", "")):
        raise InputError(f"{name}: the file's author is {published.author}")
    rgb = theirs or known[1] == "torchvision/"
    state = resnet_state(published.tensors)
    return PretrainedResNet(
        name,
        state if rgb else bgr_to_rgb(state),
        int(known[2]),
        stride_in="3x3" if rgb else "1x1",
        mean=torchvision_resnet.MEAN if rgb else MEAN,
        std=torchvision_resnet.STD if rgb else STD,
    )


def resnet_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A ResNet's state dict under our names from either style's; a name of neither stays, to be reported.

    Of a detector's file it is the backbone; the heads are left behind.
    """
    if any(key.endswith("_bn_s") for key in tensors):
        tensors = _unfolded({_renamed(key, CAFFE2): value for key, value in tensors.items()})
    if any(key.startswith("backbone.") for key in tensors):
        inner = ((re.fullmatch(IN_DETECTORS, key), value) for key, value in tensors.items())
        tensors = {found[1]: value for found, value in inner if found}
    return {_renamed(key, DETECTRON2): value for key, value in tensors.items()}


def bgr_to_rgb(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same network for images whose channels come in the other order."""
    return {key: value.flip(1) if key == "conv1.weight" and value.ndim == 4 else value for key, value in state.items()}


def _renamed(key: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, name in rules:
        key = re.sub(pattern, name, key)
    return key


def _unfolded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Affine maps as batch norms whose statistics change nothing; biases of convolutions go into them.

    Caffe2's convolutions carry biases, mostly zeros; ``scale * (conv + bias) + offset`` is what they mean.
    """
    found = {}
    for key, value in state.items():
        layer, _, kind = key.rpartition(".")
        if kind == "bias" and f"{layer}.norm.bias" in state:
            continue
        if layer.endswith(".norm") and kind == "weight":
            found[f"{layer}.running_mean"] = torch.zeros_like(value)
            found[f"{layer}.running_var"] = torch.full_like(value, 1 - EPSILON)  # torch adds it under the root
        if layer.endswith(".norm") and kind == "bias":
            conv_bias, scale = state.get(f"{layer.removesuffix('.norm')}.bias"), state.get(f"{layer}.weight")
            if conv_bias is not None and scale is not None and value.shape == scale.shape == conv_bias.shape:
                value = value + scale * conv_bias  # one of another shape does not fit, and is told
        is_classifier = key == "linear.weight" and value.ndim > 2
        found[key] = value.flatten(1) if is_classifier else value  # Caffe's has two more sides, of length 1
    return found
