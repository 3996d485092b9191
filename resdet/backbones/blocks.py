"""Residual blocks (Sec. 3.1-3.3, Fig. 5): two 3x3 convolutions, or 1x1 - 3x3 - 1x1."""

from __future__ import annotations

from torch import Tensor, nn


def conv3x3(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that keeps the map's size at stride 1; no bias, batch norm follows."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)


def conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 1x1 convolution without bias."""
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """``relu(bn(3x3(relu(bn(3x3(x))))) + shortcut(x))``, as in ResNet-18 and 34."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, dilation: int, stride_in: str) -> None:
        """``inputs -> width`` channels; ``stride_in`` has no meaning here and is ignored (the first 3x3 strides)."""
        super().__init__()
        self.conv1 = conv3x3(inputs, width, stride, dilation)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, 1, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(inputs, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W) -> (B, width, H/stride, W/stride)``."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the width, as in ResNet-50, 101 and 152."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, dilation: int, stride_in: str) -> None:
        """``inputs -> 4 * width`` channels.

        Args:
            stride_in: which convolution carries the stride: ``"1x1"``, the first one, as in the paper's released
                nets (and in its Table 1's FLOPs), or ``"3x3"``, as in torchvision's.
        """
        super().__init__()
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        self.conv1 = conv1x1(inputs, width, first)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, second, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, width * self.expansion)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(inputs, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W) -> (B, 4 * width, H/stride, W/stride)``."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


def projection(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """Option B's shortcut: a 1x1 projection with batch norm where the shape changes, None (identity) where not."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))
