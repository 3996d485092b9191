"""conv5's first 1x1 convolutions run before regions are cut out of conv4, not after: the same answer for less work.

RoI align weighs cells of the map, a 1x1 convolution weighs channels of one cell: they commute.  So the two 1x1
convolutions that read conv4, the first of the main branch and the shortcut's, run once on the map in place of once a
region; their offsets and the ReLU come after the pooling, as they do not commute.  Where the convolution strides, only
the bins that it reads are pooled.  Of 300 regions through ResNet-50's conv5 that leaves 83 % of the multiplications
where the stride is in the 1x1, 75 % where it is in the 3x3.

In a basic block only the shortcut's 1x1 commutes, 2 % of conv5: not worth a second pooling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet.backbones.blocks import Bottleneck
from resdet.backbones.folding import as_they_are, conv_norm, folded, have_hooks, stands_still
from resdet.backbones.shortcuts import Projection

Cut = Callable[[Tensor, int], Tensor]  # a map and a step -> every step-th bin of its regions, (R, C, n, n)
Conv5 = Callable[[Cut], Tensor]  # conv5 of regions, (R, C, n, n), from what cuts them


def enters_before_cutting(stage: nn.Sequential, conv4: Tensor, regions: int, size: int) -> bool:
    """Whether :func:`entered` may be used for so many regions of ``size`` bins a side, and saves work.

    It may not where a batch norm takes statistics of the regions, where the first block is not a bottleneck with a
    projection, or where these have hooks or are subclasses of torch's.
    """
    block = stage[0]
    if not (isinstance(block, Bottleneck) and isinstance(block.downsample, Projection) and block.gate is None):
        return False
    if not (stands_still(block.bn1) and stands_still(block.downsample[1])):
        return False
    if have_hooks(stage, block, block.downsample):
        return False
    if not (as_they_are(block.conv1, block.bn1) and as_they_are(*block.downsample)):
        return False
    cells = len(conv4) * conv4.shape[2] * conv4.shape[3]
    shortcut: Any = block.downsample[0]  # a convolution
    convolutions = (block.conv1, shortcut)
    bins = [regions * (-(-size // conv.stride[0])) ** 2 for conv in convolutions]
    before = sum(cells * conv.out_channels for conv in convolutions)
    return before < sum(n * conv.out_channels for n, conv in zip(bins, convolutions, strict=True))


def entered(stage: nn.Sequential, conv4: Tensor) -> Conv5:
    """conv5 whose entrance has run on the whole map ``(B, C, H, W)``; gradients flow, into its weights too."""
    block, *others = stage
    assert isinstance(block, Bottleneck) and isinstance(block.downsample, Projection)
    conv4 = conv4.contiguous(memory_format=torch.channels_last)  # a 1x1 convolution is then one matrix product
    shortcut: Any = block.downsample[0]  # a convolution
    norm, first = block.downsample[1], block.conv1
    weight, offset = folded(first, block.bn1)
    main_map = _product(conv4, weight)
    weight, shortcut_offset = folded(shortcut, norm)
    shortcut_map = _product(conv4, weight)

    def conv5(cut: Cut) -> Tensor:
        y = block.relu(_add(cut(main_map, first.stride[0]), offset))
        y = block.relu(conv_norm(y, block.conv2, block.bn2))
        y = conv_norm(y, block.conv3, block.bn3)
        y += _add(cut(shortcut_map, shortcut.stride[0]), shortcut_offset)
        y = block.relu(y)
        for other in others:
            y = other(y)
        return y

    return conv5


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """``(B, C, H, W) -> (B, D, H, W)``, both channels_last: a 1x1 convolution without a stride."""
    return functional.linear(x.permute(0, 2, 3, 1), weight.flatten(1)).permute(0, 3, 1, 2)


def _add(x: Tensor, offset: Tensor | None) -> Tensor:
    """In place, to each channel."""
    return x if offset is None else x.add_(offset.to(x.dtype)[:, None, None])
