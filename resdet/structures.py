"""What travels between the rooms of the package: small frozen records of plain tensors.

Boxes are xyxy, float32, continuous pixel coordinates: a box that covers the whole of a ``w x h`` image is
``(0, 0, w, h)``.  Classes are ``0 .. K-1``.  An image without objects has boxes of shape ``(0, 4)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resdet.devices import sent


@dataclass(frozen=True)
class View:
    """Which part of an image a network sees: the window ``x1, y1, x2, y2`` drawn ``width x height``.

    The window is whole pixels of the upright image; :mod:`resdet.data.views` cuts it and carries boxes.
    """

    window: tuple[int, int, int, int]
    width: int
    height: int
    mirror: bool = False

    @property
    def scale(self) -> tuple[float, float]:
        """View pixels an image pixel, along x and y."""
        x1, y1, x2, y2 = self.window
        return self.width / (x2 - x1), self.height / (y2 - y1)


@dataclass(frozen=True)
class Target:
    """What is in one image: its class and the boxes that have been drawn around objects, each with its own class."""

    label: int  # the image's class, 0 .. K-1, or -1 where it is not known
    boxes: Tensor  # (N, 4) float32, in the frame of the image it comes with
    labels: Tensor  # (N,) int64, the class of each box
    ignored: Tensor = None  # type: ignore[assignment]  # (N,) bool: neither learnt nor counted; left out: none is

    def __post_init__(self) -> None:
        if self.ignored is None:
            object.__setattr__(self, "ignored", torch.zeros(len(self.boxes), dtype=torch.bool))
        _check_rows(self, "labels", "ignored")
        if self.ignored.dtype != torch.bool:  # of whole numbers, as COCO's iscrowd, masks would be taken for indices
            raise ValueError(f"Target.ignored must be bool, got {self.ignored.dtype}")

    def __getitem__(self, keep: Tensor) -> Target:
        """The same image with the boxes of an index or a mask."""
        return Target(self.label, self.boxes[keep], self.labels[keep], self.ignored[keep])


@dataclass(frozen=True)
class ImageBatch:
    """Images as they enter a network, and what is in them.

    Images of different sizes lie in the upper left corners of one tensor, the rest of which means nothing.
    """

    images: Tensor  # (B, 3, H, W) uint8 RGB, or floats in 0 .. 255; the model subtracts the mean
    targets: tuple[Target, ...] = ()  # one an image, or none at all
    indices: tuple[int, ...] = ()  # each image's place in its data set
    sizes: tuple[tuple[int, int], ...] = ()  # width and height of each image; none at all: all are W x H
    proposals: tuple[Tensor, ...] = ()  # (P, 4) each image's, where they come from outside the network; or none at all

    def __post_init__(self) -> None:
        for name in ("targets", "sizes", "proposals"):
            if (given := getattr(self, name)) and len(given) != len(self.images):
                raise ValueError(f"{len(self.images)} images came with {len(given)} {name}")
        if self.images.ndim != 4 or self.images.shape[1] != 3:
            raise ValueError(f"ImageBatch.images must be (B, 3, H, W), got {tuple(self.images.shape)}")
        check_sizes(self.images, self.sizes)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> Tensor:
        """``(B,)`` int64: the class of each image, on the images' device."""
        return sent([t.label for t in self.targets], self.images.device, torch.int64)

    def labels_of(self, classes: int) -> Tensor:
        """:attr:`labels`, for a network of K classes to learn.

        Raises:
            ValueError: one is not 0 .. K-1.
        """
        for place, target in enumerate(self.targets):
            if not 0 <= target.label < classes:
                raise ValueError(f"labels must be 0 .. {classes - 1}, got {target.label} for image {place}")
        return self.labels

    @property
    def of_one_size(self) -> Tensor:
        """:attr:`images`, for a network that looks at the whole tensor.

        Raises:
            ValueError: one is smaller: the rest would be seen, and learnt, as a part of it.
        """
        height, width = self.images.shape[-2:]
        for size in self.sizes:
            if tuple(size) != (width, height):
                raise ValueError(f"all images must be of {width} x {height}, as their tensor, got {tuple(size)}")
        return self.images

    @property
    def full_sizes(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each image, also where all are ``W x H``."""
        height, width = self.images.shape[-2:]
        return self.sizes or ((width, height),) * len(self.images)

    def to(self, device: torch.device | str) -> ImageBatch:
        """The same batch with its images on ``device``; targets stay on the CPU, where they are assigned from."""
        return replace(self, images=self.images.to(device, non_blocking=True))

    def pin_memory(self) -> ImageBatch:
        """The same batch in page-locked memory, as the loader asks for: ``to`` need not wait for the copy then."""
        return replace(self, images=self.images.pin_memory())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as a few arrays: a loader's worker sends each tensor by a piece of shared memory of its own, and a
        thousand of those a batch cost the process that trains 250 us an image; this way it is 12 to 27."""
        boxes, labels, ignored = (_joined([getattr(t, name) for t in self.targets]) for name in _OF_BOXES)
        targets = (tuple(t.label for t in self.targets), boxes, labels, ignored)
        return _unpickled, (self.images, targets, self.indices, self.sizes, _joined(self.proposals))


_OF_BOXES = ("boxes", "labels", "ignored")
_Joined = tuple[tuple[int, ...], np.ndarray | None]  # how many rows each tensor had, and all of them


def _joined(tensors: Sequence[Tensor]) -> _Joined:
    return tuple(map(len, tensors)), torch.cat(tuple(tensors)).cpu().numpy() if tensors else None


def _parted(counts: tuple[int, ...], rows: np.ndarray | None) -> tuple[Tensor, ...]:
    return () if rows is None else torch.from_numpy(rows).split(counts)


def _unpickled(
    images: Tensor,
    targets: tuple[tuple[int, ...], _Joined, _Joined, _Joined],
    indices: tuple[int, ...],
    sizes: tuple[tuple[int, int], ...],
    proposals: _Joined,
) -> ImageBatch:
    labels, *of_boxes = targets
    each = zip(labels, *(_parted(*column) for column in of_boxes), strict=True)
    return ImageBatch(images, tuple(Target(*columns) for columns in each), indices, sizes, _parted(*proposals))


def split(batch: ImageBatch, parts: int) -> list[ImageBatch]:
    """The batch in ``parts`` runs of images, as equal as they can be; one an image when it has fewer."""
    parts = min(parts, len(batch))
    ends = [len(batch) * i // parts for i in range(parts + 1)] if parts else []
    columns = [getattr(batch, f.name) for f in fields(ImageBatch)]
    return [ImageBatch(*(column[i:j] for column in columns)) for i, j in pairwise(ends)]


@dataclass(frozen=True)
class Proposals:
    """Where there may be an object in one image, of whatever class; best first."""

    boxes: Tensor  # (P, 4) float32
    scores: Tensor  # (P,) float32, in [0, 1]
    finite: Tensor | None = None  # () bool: whether all that they were chosen from is; None: nobody has looked

    def __post_init__(self) -> None:
        _check_rows(self, "scores")

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class Detections:
    """What was found in one image, in no particular order."""

    boxes: Tensor  # (N, 4) float32
    scores: Tensor  # (N,) float32, in [0, 1]
    labels: Tensor  # (N,) int64, in 0 .. K-1

    def __post_init__(self) -> None:
        _check_rows(self, "scores", "labels")

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, keep: Tensor) -> Detections:
        """The rows of an index or a mask, every field alike."""
        return replace(self, **{f.name: getattr(self, f.name)[keep] for f in fields(self)})


def check_sizes(images: Tensor, sizes: Sequence[tuple[int, int]]) -> None:
    """Make sure that images of ``sizes``, width and height, have room in ``(B, C, H, W)``.

    Raises:
        ValueError: one has not, as where heights come first, or is of no pixels.
    """
    height, width = images.shape[-2:]
    for size in sizes:
        if not (0 < size[0] <= width and 0 < size[1] <= height):
            raise ValueError(f"sizes must be (width, height) of images within {width} x {height}, got {tuple(size)}")


def check_boxes(boxes: Tensor, name: str) -> None:
    """Make sure that ``(..., 4)`` boxes are finite; one that is upside down has no area and is like no other box.

    Raises:
        ValueError: one is not.
    """
    finite = boxes.isfinite().all(-1)
    if not finite.all():
        raise ValueError(f"{name} must be finite, got {boxes[~finite][0].tolist()}")


def _check_rows(record: Target | Proposals | Detections, *columns: str) -> None:
    """Boxes must be ``(N, 4)`` and each of the named columns ``(N,)``."""
    boxes, kind = record.boxes, type(record).__name__
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{kind}.boxes must be (N, 4) rows of (x1, y1, x2, y2), got {tuple(boxes.shape)}")
    for name in columns:
        if (shape := getattr(record, name).shape) != boxes.shape[:1]:
            raise ValueError(f"{kind}.{name} must be ({len(boxes)},) as boxes, got {tuple(shape)}")
