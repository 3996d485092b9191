"""From records to batches for detection: whole images of different sizes in one padded tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from resdet.config import DetAugmentConfig
from resdet.data.drawn import open_as_drawn_on
from resdet.data.grouping import GroupedPlan
from resdet.data.loading import Batches, in_order, jitter_of, make_loader
from resdet.data.plan import Draw
from resdet.data.records import Records
from resdet.data.stored_image import StoredImage
from resdet.data.views import moved, whole
from resdet.errors import InputError
from resdet.structures import ImageBatch, Target, View

Row = tuple[np.ndarray, Target, int]  # (H, W, 3) uint8 pixels, the target in them, the image's index


@dataclass(frozen=True)
class DetectionImages:
    """``self[Draw]`` is an image as training sees it: scaled, perhaps mirrored and recoloured, its target with it.

    The draw's ``size`` is the shorter side; the longer one is at most ``longest`` times as long.
    """

    records: Records
    longest: float  # 1000 / 600, as in Faster R-CNN
    how: DetAugmentConfig
    as_drawn_on: bool = False  # localization's: an image of another size than its annotation's is scaled, not refused

    def __getitem__(self, draw: Draw) -> Row:
        pixels, view = self.seen(draw)
        return pixels, shown(self.records.target(draw.index), view), draw.index

    def seen(self, draw: Draw) -> tuple[np.ndarray, View]:
        """The pixels ``(H, W, 3)`` uint8 alone, and how they lie in the image."""
        rng = np.random.default_rng(draw.seed)
        image = (open_as_drawn_on if self.as_drawn_on else open_annotated)(self.records, draw.index)
        mirror = bool(rng.random() < self.how.mirror)
        view = whole(image.width, image.height, draw.size, mirror, longer_side=round(draw.size * self.longest))
        pixels = image.view(view, exact=False)
        if (jitter := jitter_of(self.how)) is not None:
            pixels = jitter(pixels, draw.seed)
        return pixels, view

    def __len__(self) -> int:
        return len(self.records)


@dataclass(frozen=True)
class DetectionTestImages:
    """``self[i]`` is image ``i`` scaled, its target in the scaled image's pixels, and ``i``: for validation losses."""

    records: Records
    shorter: int = 600
    longer: int = 1000

    def __getitem__(self, index: int) -> Row:
        image = open_annotated(self.records, index)
        view = whole(image.width, image.height, self.shorter, longer_side=self.longer)
        return image.view(view), shown(self.records.target(index), view), index

    def __len__(self) -> int:
        return len(self.records)


def detection_loader(images: DetectionImages, plan: GroupedPlan, workers: int, multiple: int = 32) -> Batches:
    """Batches of :class:`ImageBatch`, one a step of ``plan``; the padded sides are multiples of ``multiple``."""
    return make_loader(images, workers, batch_sampler=plan, collate_fn=partial(collate, multiple=multiple))


def detection_test_loader(images: DetectionTestImages, batch_size: int, workers: int, multiple: int = 32) -> Batches:
    """Batches of every image once, in order."""
    order = in_order(len(images), batch_size)
    return make_loader(images, workers, batch_sampler=order, collate_fn=partial(collate, multiple=multiple))


def collate(rows: Sequence[Row], multiple: int = 32) -> ImageBatch:
    """The images in one padded tensor, with their targets, indices and sizes."""
    pixels, targets, indices = zip(*rows, strict=True)
    sizes = tuple((p.shape[1], p.shape[0]) for p in pixels)
    return ImageBatch(padded(pixels, multiple), targets, indices, sizes)


def padded(images: Sequence[np.ndarray], multiple: int = 32) -> Tensor:
    """Images of different sizes in the upper left corners of one tensor, whose other pixels are 0.

    Args:
        images: ``(h, w, 3)`` uint8 each.
        multiple: the tensor's sides are the largest ``h`` and ``w`` rounded up to it: fewer shapes, whose memory the
            allocator finds again.

    Returns:
        ``(B, 3, H, W)`` uint8, channels-last in memory.
    """
    height, width = (-(-max(image.shape[axis] for image in images) // multiple) * multiple for axis in (0, 1))
    batch = np.zeros((len(images), height, width, 3), dtype=np.uint8)
    for place, image in zip(batch, images, strict=True):
        place[: image.shape[0], : image.shape[1]] = image
    return torch.from_numpy(batch).permute(0, 3, 1, 2)


def shown(target: Target, view: View) -> Target:
    """The target in the pixels of a view of the whole image, its boxes cut at the image's edge.

    Every box stays.  One with no area in the image is marked ignored: nothing can be learnt from it, and the logarithm
    of its width would be the first NaN of the run.
    """
    boxes = moved(target.boxes.numpy(), view)
    inside = np.minimum(np.maximum(boxes, 0), np.array((view.width, view.height) * 2, dtype=np.float32))
    without_area = torch.from_numpy((inside[:, 2:] <= inside[:, :2]).any(1))
    return Target(target.label, torch.from_numpy(inside), target.labels, target.ignored | without_area)


def open_annotated(records: Records, index: int) -> StoredImage:
    """The image, still to be decoded, of the size that its boxes were drawn on.

    Raises:
        InputError: as :meth:`resdet.data.records.Records.open` and :func:`check_annotated_size`.
    """
    image = records.open(index)
    check_annotated_size(records, index, image.width, image.height)
    return image


def check_annotated_size(records: Records, index: int, width: int, height: int) -> None:
    """Make sure that an image of ``width x height`` is what its boxes were drawn on.

    Raises:
        InputError: the annotation is of an image of another size: it has been scaled since, or EXIF turns it and
            did not when the boxes were drawn.
    """
    size, annotated = (width, height), tuple(records.sizes[index].tolist())
    if annotated != size and min(annotated) > 0:
        turned = " (it may have been drawn on before EXIF turned it)" if annotated == size[::-1] else ""
        raise InputError(
            f"{records.file(index)}: the annotation is of an image of {annotated[0]} x {annotated[1]} pixels, "
            f"the file has {size[0]} x {size[1]}{turned}: its boxes would be in wrong places"
        )
