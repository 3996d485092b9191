"""The paper's way from maps to regions (App. A): conv4 for the whole image, conv5 for each region cut out of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from resdet import ops
from resdet.backbones import ResNet


class C4(nn.Module):
    """It has no weights of its own: conv5 stays in the backbone, which its weights come with.

    Args:
        backbone: for its channels and strides; what runs is given to each call.
        pool: ``"align"`` or ``"pool"``: how a region is cut out of conv4.
        size: cells of what is cut out, along each side; conv5 halves it.
        sampling, aligned: of ``align``, see :func:`resdet.ops.roi_align`.
    """

    multiple = 1  # pixels that an image's sides are filled up to, and seen as a part of it

    def __init__(
        self, backbone: ResNet, *, pool: str = "align", size: int = 14, sampling: int = 0, aligned: bool = True
    ) -> None:
        super().__init__()
        self.strides = (backbone.strides["conv4"],)  # pixels a cell of each level
        self.map_channels, self.vector_channels = backbone.channels["conv4"], backbone.channels["conv5"]
        self.pool, self.size, self.sampling, self.aligned = pool, size, sampling, aligned
        self.interpolates = pool == "align"

    def maps(self, backbone: ResNet, pixels: Tensor, extent: Tensor | None) -> tuple[Tensor, ...]:
        """The levels that anchors stand on, conv4 alone, of normalised ``(B, 3, H, W)`` images."""
        return (backbone.trunk(pixels),)

    def cells(self, extent: Tensor) -> list[Tensor]:
        """``(B, 2)`` width and height of the cells of each level, pixels."""
        return [torch.full_like(extent, stride) for stride in self.strides]

    def vectors(self, backbone: ResNet, maps: Sequence[Tensor], rois: Tensor) -> Tensor:
        """``(R, C)`` float32 of ``(R, 5)`` regions (image, x1, y1, x2, y2): conv5, averaged over its positions."""
        (conv4,) = maps
        if self.pool == "align":
            cut = ops.roi_align(conv4, rois, self.size, self.strides[0], self.sampling, self.aligned)
        else:
            cut = ops.roi_pool(conv4, rois, self.size, self.strides[0])
        return backbone.conv5(cut).mean((2, 3), dtype=torch.float32)
