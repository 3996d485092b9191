"""ResNet-18 to 152 and their plain counterparts (Table 1), with torchvision's module names.

Its state dicts load as they are into nets with shortcut option B, which is what it has.
"""

from __future__ import annotations

import warnings
from contextlib import suppress

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet.backbones.blocks import BasicBlock, Block, Bottleneck, stage
from resdet.backbones.folding import conv_norm
from resdet.backbones.shortcuts import SHORTCUTS
from resdet.precision import without_autocast
from resdet.tracing import is_traced

BLOCKS: dict[int, tuple[Block, tuple[int, ...]]] = {  # Table 1: the block and how many of it conv2_x .. conv5_x have
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}
STEMS = ("7x7", "3x3", "3x3-pool")
STRIDE_IN = ("1x1", "3x3")


def strides_of(stem: str, dilate_conv5: bool) -> dict[str, int]:
    """Pixels a cell of ``conv4`` and ``conv5``; for the arguments see :class:`ResNet`."""
    conv4 = {"7x7": 16, "3x3-pool": 8, "3x3": 4}[stem]
    return {"conv4": conv4, "conv5": conv4 if dilate_conv5 else 2 * conv4}


class ResNet(nn.Module):
    """A residual network with its classifier, or the plain network of the same layers.

    ``features`` gives the maps that heads stand on, ``classify`` the class scores from the last of them.  Detection
    runs the network in two: ``trunk`` up to conv4 for the image, ``conv5`` for each region.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_classes: K, outputs of the classifier ``fc``.
        stem: ``"7x7"``: stride 2, then a 3x3 max pool of stride 2 (the paper); for small images ``"3x3"``, without
            any stride, or ``"3x3-pool"``, the same with the pool behind it.  conv5 has stride 32, 8 or 16.
        stride_in: the bottleneck's convolution that strides, see :class:`~resdet.backbones.blocks.Bottleneck`.
        width: channels of conv2_x's 3x3 convolutions, doubled at each later stage; 64 in the paper.
        dilate_conv5: conv5 keeps conv4's resolution, its 3x3 convolutions dilated by 2 instead.
        shortcut: ``"A"``, ``"B"`` or ``"C"`` (Sec. 3.3), ``"none"`` for a plain net, ``"gated"`` as in Highway
            networks; see :mod:`resdet.backbones.shortcuts`.
    """

    def __init__(
        self,
        depth: int,
        num_classes: int,
        *,
        stem: str = "7x7",
        stride_in: str = "1x1",
        width: int = 64,
        dilate_conv5: bool = False,
        shortcut: str = "B",
    ) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"depth must be one of {', '.join(map(str, BLOCKS))}, got {depth}")
        if stem not in STEMS:
            raise ValueError(f"stem must be one of {', '.join(STEMS)}, got {stem!r}")
        if stride_in not in STRIDE_IN:
            raise ValueError(f"stride_in must be one of {', '.join(STRIDE_IN)}, got {stride_in!r}")
        if shortcut not in SHORTCUTS:
            raise ValueError(f"shortcut must be one of {', '.join(SHORTCUTS)}, got {shortcut!r}")
        block, counts = BLOCKS[depth]
        large = stem == "7x7"
        self.conv1 = nn.Conv2d(3, width, 7 if large else 3, 2 if large else 1, padding=3 if large else 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if stem == "3x3" else nn.MaxPool2d(3, 2, padding=1)

        inputs = width
        stages = []
        for number, count in enumerate(counts):
            dilated = dilate_conv5 and number == 3
            stride = 1 if number == 0 or dilated else 2
            here = width * 2**number
            stages.append(
                stage(block, inputs, here, count, stride, shortcut=shortcut, stride_in=stride_in, dilated=dilated)
            )
            inputs = here * block.expansion
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, num_classes)
        self.channels = {"conv4": inputs // 2, "conv5": inputs}
        self.strides = strides_of(stem, dilate_conv5)
        he_initialise(self)

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The feature maps ``conv4`` and ``conv5`` of normalised ``(B, 3, H, W)`` images."""
        conv4 = self.trunk(images)
        return {"conv4": conv4, "conv5": self.conv5(conv4)}

    def trunk(self, images: Tensor) -> Tensor:
        """conv4 of normalised ``(B, 3, H, W)`` images; conv5 is not computed."""
        return self.layer3(self.layer2(self.layer1(self.stem(images))))

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        """All four resolutions, ``conv2`` to ``conv5``, of normalised ``(B, 3, H, W)`` images."""
        conv2 = self.layer1(self.stem(images))
        conv3 = self.layer2(conv2)
        conv4 = self.layer3(conv3)
        return {"conv2": conv2, "conv3": conv3, "conv4": conv4, "conv5": self.conv5(conv4)}

    def stem(self, images: Tensor) -> Tensor:
        """conv1 and the pooling behind it."""
        return self.maxpool(self.relu(conv_norm(images, self.conv1, self.bn1)))

    def conv5(self, conv4: Tensor) -> Tensor:
        """The last stage, on conv4 or on what was pooled from it."""
        return self.layer4(conv4)

    def classify(self, conv5: Tensor) -> Tensor:
        """``(B, C, h, w) -> (B, K)`` logits: global average pooling, then ``fc``."""
        return pooled_logits(conv5, self.avgpool, self.fc)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, K)`` logits of normalised ``(B, 3, H, W)`` images."""
        return self.classify(self.features(images)["conv5"])


def pooled_logits(conv5: Tensor, pool: nn.Module, fc: nn.Linear) -> Tensor:
    """``(B, C, h, w) -> (B, K)``, in the type of ``fc``'s weights under autocast too: logits of 8 bits would tie."""
    with without_autocast(conv5):
        return fc(pool(conv5.to(fc.weight.dtype)).flatten(1))  # type: ignore[no-any-return]


def he_initialise(net: nn.Module) -> None:
    """He normal for convolutions (Sec. 3.4); ``fc`` as torch has it.

    "Delving deep into rectifiers" (Sec. 2.2) keeps the variance either of the activations (fan in) or of the gradients
    (fan out) and finds either enough; it is fan out here, as in torchvision.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def zero_init_residual(net: nn.Module) -> None:
    """Start every block as its shortcut: gamma of its last batch norm 0 (Goyal et al. 2017, Sec. 5.1).

    Not for plain nets, which would be 0 from there on and never learn.
    """
    for module in net.modules():
        if isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
        elif isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)


def freeze_batch_norm(net: nn.Module) -> None:
    """Batch norm becomes a constant affine map (App. A): statistics, scale and offset stay as they are.

    Call it after every ``net.train()``, which would set batch norm to training again.
    """
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.weight.requires_grad_(False)
            module.bias.requires_grad_(False)


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 ``(B, 3, H, W)`` RGB to zero mean and unit deviation.

    Floats are taken too, from 0 to 255 as well.  On a CPU there is a warning where all of a batch's are from 0 to 1, as
    torchvision's ``ToTensor`` gives them, or are below 0 too, as if normalised before: nearly black, or grey, is what
    the network would see.  No error, as a photograph may be black; a GPU is not asked, which would be waited for.

    Args:
        mean: ``(3,)`` in 0 .. 255; or ``(3, h, w)``, a mean for every pixel (Sec. 3.4), which is stretched to images
            of another size.  It belongs to the crop: which part of a photograph a crop shows is not asked.
        std: ``(3,)``.
    """
    if images.is_floating_point() and images.device.type == "cpu" and images.numel() and not is_traced(images):
        _warn_of_range(images.detach())
    if mean.ndim == 3 and mean.shape[1:] != images.shape[2:]:
        mean = functional.interpolate(mean[None], images.shape[2:], mode="bilinear", align_corners=False)[0]
    return (images.to(torch.float32) - mean.view(1, 3, *(mean.shape[1:] or (1, 1)))) / std.view(1, 3, 1, 1)


def _warn_of_range(images: Tensor) -> None:
    with suppress(RuntimeError):  # within torch.func's vmap there is no asking for numbers
        low, high = (float(end) for end in images.aminmax())
        if low < high <= 1 or low < 0 < high < 16:
            was = f"images must be RGB from 0 to 255, got floats from {low:g} to {high:g}"
            warnings.warn(f"{was}, which are nearly one colour: the network normalises them itself", stacklevel=3)
