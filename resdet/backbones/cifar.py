"""The thin nets of 6n + 2 layers for 32x32 images (Sec. 4.2), residual and plain."""

from __future__ import annotations

from torch import Tensor, nn

from resdet.backbones.blocks import BasicBlock, conv3x3, stage
from resdet.backbones.folding import conv_norm
from resdet.backbones.resnet import he_initialise, pooled_logits
from resdet.backbones.shortcuts import SHORTCUTS

DEPTHS = (20, 32, 44, 56, 110, 1202)  # Table 6
WIDTHS = (16, 32, 64)  # filters on maps of 32, 16 and 8 pixels
STRIDES = {"conv4": 2, "conv5": 4}  # pixels a cell


class CifarResNet(nn.Module):
    """3x3 convolution, 6n more in blocks of two on three resolutions, global average pooling, ``fc``.

    It has :class:`~resdet.backbones.resnet.ResNet`'s face, so that classifier and heads take either: its last two
    maps go by the names of ResNet's last two.

    Args:
        depth: 6n + 2, the layers with weights; 20, 32, 44, 56, 110 and 1202 in the paper.
        num_classes: K, outputs of the classifier ``fc``.
        shortcut: as in ResNet; the paper has ``"A"`` here "in all cases", so a plain net has as many parameters.
    """

    def __init__(self, depth: int, num_classes: int, *, shortcut: str = "A") -> None:
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"depth must be 6n + 2, from 8 on, got {depth}")
        if shortcut not in SHORTCUTS:
            raise ValueError(f"shortcut must be one of {', '.join(SHORTCUTS)}, got {shortcut!r}")
        blocks = depth // 6  # n, of two layers each, on every resolution
        first, second, third = WIDTHS
        self.conv1 = conv3x3(3, first)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = stage(BasicBlock, first, first, blocks, 1, shortcut=shortcut)
        self.layer2 = stage(BasicBlock, first, second, blocks, 2, shortcut=shortcut)
        self.layer3 = stage(BasicBlock, second, third, blocks, 2, shortcut=shortcut)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(third, num_classes)
        self.channels = {"conv4": second, "conv5": third}
        self.strides = dict(STRIDES)
        he_initialise(self)

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The last two resolutions' maps of normalised ``(B, 3, H, W)`` images, as ``conv4`` and ``conv5``."""
        x = self.layer1(self.relu(conv_norm(images, self.conv1, self.bn1)))
        conv4 = self.layer2(x)
        return {"conv4": conv4, "conv5": self.layer3(conv4)}

    def classify(self, conv5: Tensor) -> Tensor:
        """``(B, 64, h, w) -> (B, K)`` logits: global average pooling, then ``fc``."""
        return pooled_logits(conv5, self.avgpool, self.fc)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, K)`` logits of normalised ``(B, 3, H, W)`` images."""
        return self.classify(self.features(images)["conv5"])
