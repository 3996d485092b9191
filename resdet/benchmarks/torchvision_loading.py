"""Loading as torchvision's users write it: ``ImageFolder`` with transforms v2 on PIL images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from resdet.config import AugmentConfig
from resdet.data.augment import random_view
from resdet.data.records import Records

AREA, SHORTER_SIDE = "area", "shorter side"  # how a crop is drawn


class TorchvisionImages:
    """Crops of the images of records, drawn anew each time.

    Args:
        crop: ``AREA``: a random area and aspect (``RandomResizedCrop``); ``SHORTER_SIDE``: the shorter side from 256
            to 480, and a random square, as in the paper.
        boxes: the image's boxes go with it, clamped to the crop, those of no area dropped.
    """

    def __init__(self, records: Records, crop: str, size: int, *, boxes: bool) -> None:
        self.records, self.boxes = records, boxes
        self.folder = ImageFolder(str(records.root))
        self.transform = _transform(crop, size, boxes)
        self.drawn = 0

    def batch(self, count: int) -> list[Tensor]:
        """``[(count, 3, size, size)]`` uint8: the next images, over and over."""
        rows = range(self.drawn, self.drawn + count)
        self.drawn += count
        return [torch.stack([self._image(i % len(self.folder)) for i in rows])]

    def _image(self, index: int) -> Tensor:
        image, label = self.folder[index]
        if not self.boxes:
            return self.transform(image)
        boxes = tv_tensors.BoundingBoxes(
            self.records.target(index).boxes, format="XYXY", canvas_size=(image.height, image.width)
        )
        seen, _ = self.transform(image, {"boxes": boxes, "labels": torch.full((len(boxes),), label)})
        return seen


def _transform(crop: str, size: int, boxes: bool) -> Any:
    scaled = (
        [v2.RandomShortestSize(list(range(256, 481))), v2.RandomCrop(size)]
        if crop == SHORTER_SIDE
        else [v2.RandomResizedCrop(size)]
    )
    cleaned = [v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes()] if boxes else []
    return v2.Compose([*scaled, v2.RandomHorizontalFlip(), *cleaned, v2.PILToTensor()])


def largest_difference(records: Records, how: AugmentConfig, size: int) -> float:
    """The mean difference, in levels of 0 .. 255, between our view of an image and torchvision's crop of the same
    window, on the image where it is largest."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for index in range(min(len(records), 16)):
        stored = records.open(index)
        view = random_view(rng, stored.width, stored.height, size, how)
        x1, y1, x2, y2 = view.window
        with Image.open(records.file(index)) as image:
            crop = v2.functional.resized_crop(image.convert("RGB"), y1, x1, y2 - y1, x2 - x1, [size, size])
        expected = v2.functional.horizontal_flip(crop) if view.mirror else crop
        difference = np.abs(stored.view(view, exact=False).astype(int) - np.asarray(expected)).mean()
        worst = max(worst, float(difference))
    return worst
