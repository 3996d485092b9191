"""What a detector sees of some images at one scale or several, and what it says of boxes in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from resdet.boxes.coder import REGION, decode
from resdet.boxes.geometry import area, clip
from resdet.devices import repeated, sent
from resdet.models.faster_rcnn import FasterRCNN, Maps
from resdet.postprocess.detections import Regions
from resdet.precision import autocast
from resdet.structures import Proposals

TRAINED_AREA = 224.0**2  # pixels; a region counts as seen best where it is as large as a picture of pre-training


class Scale(NamedTuple):
    """Images of a batch at one scale, as they enter a detector."""

    pixels: Tensor  # (B, 3, H, W) uint8
    sizes: tuple[tuple[int, int], ...]  # width and height of each


@dataclass(frozen=True)
class Pyramid:
    """One detector's maps of a batch of images; boxes come and go in pixels of the images themselves."""

    model: FasterRCNN
    labels: Tensor | None  # (K,) int64: the model's own label of each class that is answered; None: the same ones
    maps: Sequence[Maps]  # at each scale; proposals are made at the first
    sizes: Sequence[tuple[tuple[int, int], ...]]  # at each scale, width and height of each image
    pooled: Sequence[int]  # the scales that regions are pooled from, smallest first
    images: Tensor  # (B, 2) float32: width and height of the images themselves
    precision: str  # the detector's

    def propose(self) -> list[Proposals]:
        """The detector's proposals in each image, with whether what they were chosen from is finite."""
        with autocast(self.images.device, self.precision):
            found = self.model.propose(self.maps[0], self.sizes[0])
        return [replace(one, boxes=one.boxes / factors) for one, factors in zip(found, self._factors(0), strict=True)]

    def regions(self, boxes: Sequence[Tensor]) -> list[Regions]:
        """What the detector says of ``(P, 4)`` boxes in each image; its own boxes are cut at the image's edges."""
        counts = [len(of_image) for of_image in boxes]
        given = torch.cat(list(boxes))  # (R, 4)
        image = repeated(range(len(counts)), counts, given.device, torch.int64)
        with autocast(self.images.device, self.precision):
            probabilities, deltas = self.model.siblings(self._vectors(given, image, counts))
        # a delta is a share of its box's sides: the same in these pixels as in those of any scale
        moved = clip(decode(deltas, given[:, None], REGION), self.images[image, None])  # (R, K, 4)
        if self.labels is not None:
            probabilities = torch.cat((probabilities[:, self.labels], probabilities[:, -1:]), 1)
            moved = moved[:, self.labels]
        return list(zip(probabilities.split(counts), moved.split(counts), strict=True))

    def _vectors(self, boxes: Tensor, image: Tensor, counts: list[int]) -> Tensor:
        """``(R, D)`` of all boxes: from the only scale, or the larger of each number at the two scales that fit best.

        The paper takes two adjacent scales from Networks on Conv maps (Ren et al. 2015) and says no more; the maximum
        is over what the siblings read.
        """
        if len(self.pooled) == 1:
            return self._pool(self.pooled[0], boxes, image, counts)
        factors = torch.stack([self._factors(scale) for scale in self.pooled], 1)[image]  # (R, S, 4)
        chosen = fitting_scales(area(boxes)[:, None] * factors[:, :, :2].prod(2))
        vectors: Tensor | None = None
        for place, scale in enumerate(self.pooled):
            rows = (chosen == place).any(1).nonzero()[:, 0]
            if len(rows):
                of_each = torch.bincount(image[rows], minlength=len(counts)).tolist()
                found = self._pool(scale, boxes[rows], image[rows], of_each)
                vectors = found.new_full((len(boxes), found.shape[1]), -torch.inf) if vectors is None else vectors
                vectors[rows] = torch.maximum(vectors[rows], found)
        return self._pool(self.pooled[0], boxes, image, counts) if vectors is None else vectors  # no boxes: (0, D)

    def _pool(self, scale: int, boxes: Tensor, image: Tensor, counts: list[int]) -> Tensor:
        drawn = boxes * self._factors(scale)[image]
        return self.model.vectors(self.maps[scale], drawn.split(counts), self.sizes[scale])

    def _factors(self, scale: int) -> Tensor:
        """``(B, 4)``: from an image's pixels to those of a scale."""
        drawn = sent(self.sizes[scale], self.images.device, torch.float32)
        return (drawn / self.images).repeat(1, 2)


def see(
    model: FasterRCNN,
    labels: Tensor | None,
    scales: Sequence[Scale],
    pooled: Sequence[int],
    images: Tensor,
    precision: str = "fp32",
) -> Pyramid:
    """Run the detector's shared layers over images at each scale; see :class:`Pyramid`."""
    with autocast(images.device, precision):
        maps = [model.features(scale.pixels, scale.sizes) for scale in scales]
    return Pyramid(model, labels, maps, [scale.sizes for scale in scales], pooled, images, precision)


def fitting_scales(areas: Tensor) -> Tensor:
    """The two adjacent scales at which a region is nearest to 224 x 224 pixels: the best, and its better neighbour.

    The best as in SPP-net (He et al. 2014) and py-faster-rcnn, by the difference of areas; which neighbour, the
    sources leave open.

    Args:
        areas: ``(R, S)`` of each region at each scale, rising along a row; S is 2 or more.

    Returns:
        ``(R, 2)`` int64 columns of ``areas``.
    """
    distance = (areas - TRAINED_AREA).abs()
    best = distance.argmin(1, keepdim=True)
    beyond = torch.nn.functional.pad(distance, (1, 1), value=torch.inf)  # column s + 1 is scale s
    below, above = beyond.gather(1, best), beyond.gather(1, best + 2)
    return torch.cat((best, torch.where(below <= above, best - 1, best + 1)), 1)
