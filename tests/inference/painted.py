"""Detectors whose answers are known beforehand: they see bright regions and go half of the way to them."""

import numpy as np
import torch
from torch import Tensor, nn

from resdet.boxes.coder import REGION, encode
from resdet.boxes.overlap import pairwise_iou
from resdet.data.viewed_images import ViewedImage
from resdet.data.views import cut
from resdet.inference.det import Detected, DetProtocol, detect
from resdet.inference.loc import LocProtocol
from resdet.structures import Proposals

Sizes = tuple[tuple[int, int], ...]


class Painted(nn.Module):
    """Of class c there is an object where channel c is bright; the proposals are the same for every image.

    A region's probability of a class is its overlap with the class's object, scaled by ``sure``; its box for the class
    lies half-way between the region and the object.  So a region that is pooled again is surer and nearer.
    """

    def __init__(self, *proposals: tuple[float, ...], factor: float = 0.5, sure: float = 1.0) -> None:
        """The proposals are in pixels of the image, which the network gets ``factor`` times as large."""
        super().__init__()
        self.proposals, self.sure = torch.tensor(proposals).reshape(-1, 4) * factor, sure
        self.seen: list[tuple[int, ...]] = []
        self.pooled_from: list[tuple[int, Tensor]] = []

    def features(self, images: Tensor, sizes: Sizes) -> Tensor:
        assert not self.training and torch.is_inference_mode_enabled()
        assert images.dtype == torch.uint8
        assert len(sizes) == len(images)
        self.seen.append(tuple(images.shape))
        return images

    def propose(self, images: Tensor, sizes: Sizes) -> list[Proposals]:
        assert len(sizes) == len(images)
        return [Proposals(self.proposals, torch.ones(len(self.proposals))) for _ in images]

    def vectors(self, images: Tensor, boxes: list[Tensor], sizes: Sizes) -> Tensor:
        """``(R, 10)``: for both classes the overlap, and the box to answer as deltas."""
        self.pooled_from.append((min(sizes[0]), torch.cat(list(boxes))))
        rows = []
        for image, of_image in zip(images, boxes, strict=True):
            for box in of_image:
                rows.append(torch.cat([self._seen_at(box, _bounds(image[c] > 128)) for c in (0, 1)]))
        return torch.stack(rows) if rows else torch.zeros(0, 10)

    def siblings(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        of_class = vectors.reshape(-1, 2, 5)
        scores = of_class[:, :, 0] * self.sure
        return torch.cat((scores, 1 - scores.sum(1, keepdim=True)), 1), of_class[:, :, 1:]

    def _seen_at(self, box: Tensor, objects: Tensor) -> Tensor:
        if not len(objects):
            return torch.zeros(5)
        overlap = pairwise_iou(box[None], objects)[0]
        return torch.cat((overlap, encode((objects[0] + box) / 2, box, REGION)))


def _bounds(mask: Tensor) -> Tensor:
    """``(1, 4)`` the box around what is set, or ``(0, 4)``."""
    if not mask.any():
        return torch.zeros(0, 4)
    y, x = mask.nonzero(as_tuple=True)
    return torch.stack((x.min(), y.min(), x.max() + 1, y.max() + 1)).float()[None]


def painted(width: int, height: int, *objects: tuple[int, int, int, int]) -> np.ndarray:
    """A dark picture with object c in channel c."""
    image = np.zeros((height, width, 3), np.uint8)
    for c, (x1, y1, x2, y2) in enumerate(objects):
        image[y1:y2, x1:x2, c] = 255
    return image


def viewed(index: int, image: np.ndarray, protocol: DetProtocol | LocProtocol) -> ViewedImage:
    height, width = image.shape[:2]
    views = tuple(protocol.views(width, height))
    return ViewedImage(index, width, height, views, tuple(cut(image, view) for view in views))


def detected(models, images: list[ViewedImage], protocol: DetProtocol, **options) -> list[Detected]:
    return list(detect(models, [images], protocol, torch.device("cpu"), **options))
