"""Residual blocks (Sec. 3.1-3.3, Fig. 5): two 3x3 convolutions, or 1x1 - 3x3 - 1x1."""

from __future__ import annotations

from torch import Tensor, nn

from resdet.backbones.folding import conv_norm
from resdet.backbones.shortcuts import join, shortcut_path, transform_gate
from resdet.convolution import Conv1x1, Conv3x3


def conv3x3(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> Conv3x3:
    """A 3x3 convolution that keeps the map's size at stride 1; no bias, batch norm follows."""
    return Conv3x3(inputs, outputs, stride, dilation, bias=False)


class BasicBlock(nn.Module):
    """``relu(bn(3x3(relu(bn(3x3(x))))) + shortcut(x))``, as in ResNet-18 and 34 and in the nets for CIFAR."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, dilation: int, stride_in: str, shortcut: str) -> None:
        """``inputs -> width`` channels; ``stride_in`` has no meaning here and is ignored (the first 3x3 strides)."""
        super().__init__()
        self.conv1 = conv3x3(inputs, width, stride, dilation)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, 1, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = shortcut
        self.downsample = shortcut_path(shortcut, inputs, width * self.expansion, stride)  # torchvision's name
        self.gate = transform_gate(shortcut, inputs, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W) -> (B, width, H/stride, W/stride)``."""
        y = self.relu(conv_norm(x, self.conv1, self.bn1))
        y = conv_norm(y, self.conv2, self.bn2)
        return self.relu(join(y, x, self.shortcut, self.downsample, self.gate))


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the width, as in ResNet-50, 101 and 152."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, dilation: int, stride_in: str, shortcut: str) -> None:
        """``inputs -> 4 * width`` channels.

        Args:
            stride_in: which convolution carries the stride: ``"1x1"``, the first one, as in the paper's released
                nets (and in its Table 1's FLOPs), or ``"3x3"``, as in torchvision's.
            shortcut: see :mod:`resdet.backbones.shortcuts`.
        """
        super().__init__()
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        self.conv1 = Conv1x1(inputs, width, first)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, second, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = Conv1x1(width, width * self.expansion)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = shortcut
        self.downsample = shortcut_path(shortcut, inputs, width * self.expansion, stride)  # torchvision's name
        self.gate = transform_gate(shortcut, inputs, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W) -> (B, 4 * width, H/stride, W/stride)``."""
        y = self.relu(conv_norm(x, self.conv1, self.bn1))
        y = self.relu(conv_norm(y, self.conv2, self.bn2))
        y = conv_norm(y, self.conv3, self.bn3)
        return self.relu(join(y, x, self.shortcut, self.downsample, self.gate))


Block = type[BasicBlock] | type[Bottleneck]


def stage(
    block: Block,
    inputs: int,
    width: int,
    count: int,
    stride: int,
    *,
    shortcut: str,
    stride_in: str = "1x1",
    dilated: bool = False,
) -> nn.Sequential:
    """``count`` blocks at one resolution, the first of which strides: ``inputs -> width * block.expansion`` channels.

    Args:
        dilated: the 3x3 convolutions are spread out by 2, which leaves them their reach where ``stride`` is 1 for 2.
    """
    blocks = []
    for i in range(count):
        # the first block of a dilated stage still reads conv4 as it is: only what follows is spread out
        dilation = 2 if dilated and i > 0 else 1
        blocks.append(block(inputs, width, stride if i == 0 else 1, dilation, stride_in, shortcut))
        inputs = width * block.expansion
    return nn.Sequential(*blocks)
