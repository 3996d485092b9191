"""Feature pyramids (Lin et al. 2017): every resolution takes part, large regions on coarse maps, small ones on fine.

Names and arithmetic are torchvision's, so that its detectors' weights mean here what they mean there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet import ops
from resdet.backbones import ResNet
from resdet.backbones.edges import covered
from resdet.boxes.geometry import area
from resdet.convolution import Conv3x3
from resdet.heads.cutting import align_alone

STAGES = ("conv2", "conv3", "conv4", "conv5")
CANONICAL_SIDE, CANONICAL_LEVEL = 224.0, 2  # a region as large as a picture of pre-training is cut from conv4's level


def level_strides(strides: Mapping[str, int]) -> tuple[int, ...]:
    """Pixels a cell of each of the five levels, from those of the backbone's ``conv4`` and ``conv5``."""
    first, last = strides["conv4"] // 4, strides["conv5"]
    return first, 2 * first, 4 * first, last, 2 * last


class FPN(nn.Module):
    """Four levels from the backbone's four stages, a fifth at half the last one's resolution, and the box head.

    Args:
        backbone: read here for its channels and strides; it is not kept, each call is given it again.
        channels: of every level.
        norm: batch norm behind its convolutions and the box head's, in place of biases (torchvision's v2).
        size: cells of what is cut out for a region, along each side.
        sampling, aligned: see :func:`resdet.ops.roi_align`.
        box_convs: 3x3 convolutions of the box head, before its fully connected layers.
        box_layers: fully connected layers of the box head,
        box_channels: and their outputs.
    """

    # An image's sides are padded with the mean colour to whole cells of the coarsest stage, and the padding counts as
    # part of the image: then each level has exactly twice the cells of the next, alone as in a batch.
    multiple = 32
    interpolates = True  # between cells, where it cuts regions out

    def __init__(
        self,
        backbone: ResNet,
        *,
        channels: int = 256,
        norm: bool = False,
        size: int = 7,
        sampling: int = 2,
        aligned: bool = False,
        box_convs: int = 0,
        box_layers: int = 2,
        box_channels: int = 1024,
    ) -> None:
        super().__init__()
        self.strides = level_strides(backbone.strides)
        self.map_channels, self.vector_channels = channels, box_channels
        self.size, self.sampling, self.aligned = size, sampling, aligned
        inputs = [backbone.channels["conv5"] // factor for factor in (8, 4, 2, 1)]
        self.inner_blocks = nn.ModuleList(_conv(c, channels, 1, norm) for c in inputs)
        self.layer_blocks = nn.ModuleList(_conv(channels, channels, 3, norm) for _ in inputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
        self.box_head = box_head(channels, size, box_convs, box_layers, box_channels)

    def maps(self, backbone: ResNet, pixels: Tensor, extent: Tensor | None) -> tuple[Tensor, ...]:
        """The five levels, finest first, of normalised ``(B, 3, H, W)`` images.

        Args:
            extent: ``(B, 2)`` width and height of each image, multiples of 32; None: all are W x H.
        """
        stages = backbone.maps(pixels)
        levels: list[Tensor] = []
        above: Tensor | None = None
        for i in reversed(range(len(STAGES))):
            inner = self.inner_blocks[i](stages[STAGES[i]])
            if above is not None:
                inner = inner + functional.interpolate(above, size=inner.shape[-2:], mode="nearest")
            if extent is not None:  # what lies beyond an image is 0 to it, as if it were alone
                inner = inner * covered(extent, inner.shape[2], inner.shape[3], self.strides[i])[:, None]
            levels.insert(0, self.layer_blocks[i](inner))
            above = inner
        return (*levels, levels[-1][:, :, ::2, ::2])

    def cells(self, extent: Tensor) -> list[Tensor]:
        """``(B, 2)`` width and height of the cells of each level, whole pixels.

        They are what torchvision's anchors are apart: an image's side by its number of cells, rounded down, which at
        the last level may be less than the stride (800 pixels have 13 cells of 64, 61 apart).
        """
        return [torch.floor(extent / torch.ceil(extent / stride)) for stride in self.strides]

    def vectors(
        self, backbone: ResNet, maps: Sequence[Tensor], rois: Tensor, ends: Sequence[Tensor | None] = (None,) * 5
    ) -> Tensor:
        """``(R, C)`` float32 of ``(R, 5)`` regions (image, x1, y1, x2, y2): each cut from the level of its size.

        Args:
            ends: of each level, see :func:`resdet.heads.cutting.align_alone`.
        """
        level = fitting_level(rois[:, 1:])
        if torch.compiler.is_exporting():
            return self.box_head(self._cut_level_by_level(maps, rois, level)).float()
        order = level.argsort(stable=True)
        counts = torch.bincount(level, minlength=len(STAGES)).tolist()
        parts = [
            align_alone(feature, of_level, self.size, stride, self.sampling, self.aligned, ends=end)
            for feature, of_level, stride, end in zip(maps, rois[order].split(counts), self.strides, ends, strict=False)
        ]
        return self.box_head(torch.cat(parts)[order.argsort()]).float()

    def _cut_level_by_level(self, maps: Sequence[Tensor], rois: Tensor, level: Tensor) -> Tensor:
        """``(R, C, s, s)`` where the regions of a level cannot be counted: each level's are put into their places."""
        pooled = maps[0].new_zeros(rois.shape[0], self.map_channels, self.size, self.size)
        for number, (feature, stride) in enumerate(zip(maps[: len(STAGES)], self.strides, strict=False)):
            (rows,) = (level == number).nonzero(as_tuple=True)
            cut = ops.roi_align(feature, rois[rows], self.size, stride, self.sampling, self.aligned)
            pooled = pooled.index_put((rows,), cut)
        return pooled


def fitting_level(boxes: Tensor) -> Tensor:
    """Which of the four levels each region is cut from (Lin et al., Eq. 1): ``(R, 4)`` pixels -> ``(R,)`` int64.

    A region with a corner that is NaN is of the first level, which reads nothing of it.
    """
    octaves = torch.log2(area(boxes).sqrt() / CANONICAL_SIDE)
    level = torch.floor(CANONICAL_LEVEL + octaves + 1e-6)  # torchvision's epsilon
    return torch.where(level > 0, level, 0.0).clamp(max=len(STAGES) - 1).to(torch.int64)  # (a NaN is not above 0)


def box_head(channels: int, size: int, convs: int, layers: int, width: int) -> nn.Sequential:
    """Convolutions with batch norm, then fully connected layers, ReLU behind each: ``(R, C, s, s) -> (R, width)``.

    torchvision's two heads: no convolution and two layers, or four and one (v2).
    """
    blocks: list[nn.Module] = [nn.Sequential(*_conv(channels, channels, 3, True), nn.ReLU()) for _ in range(convs)]
    for block in blocks:
        nn.init.kaiming_normal_(block[0].weight, mode="fan_out", nonlinearity="relu")  # type: ignore[index,arg-type]
    blocks.append(nn.Flatten())
    inputs = channels * size * size
    for _ in range(layers):
        blocks += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*blocks)


def _conv(inputs: int, outputs: int, kernel: int, norm: bool) -> nn.Sequential:
    conv = Conv3x3(inputs, outputs, bias=not norm) if kernel == 3 else nn.Conv2d(inputs, outputs, 1, bias=not norm)
    if norm:
        return nn.Sequential(conv, nn.BatchNorm2d(outputs))
    nn.init.zeros_(conv.bias)
    return nn.Sequential(conv)
