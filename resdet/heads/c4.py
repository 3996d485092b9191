"""The paper's way from maps to regions (App. A): conv4 for the whole image, conv5 for each region cut out of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from resdet import ops
from resdet.backbones import ResNet
from resdet.heads.cutting import align_alone
from resdet.heads.entrance import Conv5, entered, enters_before_cutting

KEPT = 2**25  # bytes: the most that glibc keeps of what is freed
MANY = 2**30  # regions: all of them


class C4(nn.Module):
    """The neck without weights of its own: conv5 stays in the backbone, with whose weights it is loaded.

    Args:
        backbone: read here for its channels and strides; it is not kept, each call is given it again.
        pool: ``"align"`` or ``"pool"``: how a region is cut out of conv4.
        size: cells of what is cut out, along each side; conv5 halves it.
        sampling, aligned: of ``align``, see :func:`resdet.ops.roi_align`.
    """

    multiple = 1  # an image's sides are padded to multiples of it, and the padding counts as part of the image

    def __init__(
        self, backbone: ResNet, *, pool: str = "align", size: int = 14, sampling: int = 0, aligned: bool = True
    ) -> None:
        super().__init__()
        self.strides = (backbone.strides["conv4"],)  # pixels a cell of each level
        self.map_channels, self.vector_channels = backbone.channels["conv4"], backbone.channels["conv5"]
        self.pool, self.size, self.sampling, self.aligned = pool, size, sampling, aligned
        self.cells_left = -(-size * backbone.strides["conv4"] // backbone.strides["conv5"])  # along each side, by conv5
        self.interpolates = pool == "align"  # between cells, where it cuts regions out

    def maps(self, backbone: ResNet, pixels: Tensor, extent: Tensor | None) -> tuple[Tensor, ...]:
        """The levels that anchors stand on, conv4 alone, of normalised ``(B, 3, H, W)`` images."""
        return (backbone.trunk(pixels),)

    def cells(self, extent: Tensor) -> list[Tensor]:
        """``(B, 2)`` width and height of the cells of each level, pixels."""
        return [torch.full_like(extent, stride) for stride in self.strides]

    def vectors(
        self, backbone: ResNet, maps: Sequence[Tensor], rois: Tensor, ends: Sequence[Tensor | None] = (None,)
    ) -> Tensor:
        """``(R, C)`` float32 of ``(R, 5)`` regions (image, x1, y1, x2, y2): conv5, averaged over its positions.

        Args:
            ends: of each level, see :func:`resdet.heads.cutting.align_alone`.
        """
        (conv4,), (end,) = maps, ends
        if torch.compiler.is_exporting():  # how many regions there are is not known then
            return backbone.conv5(self._cut(rois, conv4, 1)).mean((2, 3))
        conv5 = self._conv5(backbone, conv4, len(rois))
        parts = rois.tensor_split(max(1, -(-len(rois) // self._at_once(conv4))))  # as few as can be, and as equal
        means = [conv5(partial(self._cut, part, end=end)).mean((2, 3), dtype=torch.float32) for part in parts]
        return means[0] if len(means) == 1 else torch.cat(means)

    def _conv5(self, backbone: ResNet, conv4: Tensor, regions: int) -> Conv5:
        """conv5, its entrance on the map where that is the same and less."""
        stage = backbone.layer4
        if self.interpolates and enters_before_cutting(stage, conv4, regions, self.size):
            return entered(stage, conv4)
        return lambda cut: backbone.conv5(cut(conv4, 1))

    def _cut(self, rois: Tensor, feature: Tensor, step: int, end: Tensor | None = None) -> Tensor:
        """``(R, C, n, n)``: every ``step``-th bin of regions of a map."""
        stride = self.strides[0]
        if self.pool == "pool":  # of continuous boxes, as with torchvision; Fast R-CNN's boxes end a pixel earlier
            return ops.roi_pool(feature, rois, self.size, stride)[:, :, ::step, ::step]
        return align_alone(feature, rois, self.size, stride, self.sampling, self.aligned, step, end)

    def _at_once(self, conv4: Tensor) -> int:
        """Regions that go through conv5 together.

        On a CPU only so many that none of their maps is above what the C library (glibc) keeps for the next one: it
        returns a larger one to the kernel and faults it in again, a tenth of the time for 300 regions.
        """
        if conv4.device.type != "cpu":
            return MANY
        largest = self.vector_channels * self.cells_left**2 * conv4.element_size()  # of one region
        return max(1, KEPT // largest)
