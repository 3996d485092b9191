"""The annotations of a whole data set as a handful of flat arrays.

A million Python objects cost gigabytes, and once more in every loader worker, since counting references
writes to their pages.  Flat tensors cost some 50 bytes an image, once: they are moved to shared memory, so
that workers read the same pages, whether forked or spawned.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from os.path import basename, splitext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from resdet.data.stored_image import StoredImage, of_pixels, open_image
from resdet.structures import Target

CODEC = ("utf-8", "surrogateescape")  # as Python has the names of files: some disks hold bytes that are no UTF-8
NO_NUMBER = -1  # of an image that has none; COCO's reader takes any other id, negative ones too
SELECTED_AT_ONCE = 65536  # images: the places of all their paths' bytes, 8 bytes each, are a table of some 20 MB


@dataclass(frozen=True)
class Classes:
    """The classes of a data set in label order: label ``i`` is ``ids[i]``, called ``names[i]``."""

    ids: tuple[str, ...]  # WNIDs for ImageNet; the class's name where a set has nothing else
    names: tuple[str, ...]
    numbers: tuple[int, ...] = ()  # in files of results: COCO's category ids, DET's devkit ids; else empty

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.names):
            raise ValueError(f"{len(self.ids)} class ids came with {len(self.names)} names")
        if self.numbers and len(self.numbers) != len(self.ids):
            raise ValueError(f"{len(self.ids)} class ids came with {len(self.numbers)} numbers")
        if len(set(self.ids)) != len(self.ids):
            twice = next(i for i in self.ids if self.ids.count(i) > 1)
            raise ValueError(f"class id {twice!r} is listed twice")

    def __len__(self) -> int:
        return len(self.ids)

    def told_apart(self) -> tuple[str, ...]:
        """The names, with its id behind one that several classes have: ``crane (n02012849)``, the bird."""
        times = Counter(self.names)
        pairs = zip(self.ids, self.names, strict=True)
        return tuple(name if times[name] == 1 else f"{name} ({class_id})" for class_id, name in pairs)


class Record(NamedTuple):
    """One image of a data set, as its annotation describes it."""

    path: str  # relative to the data set's root
    label: int  # 0 .. K-1, or -1 where it is not known
    boxes: Sequence[tuple[float, float, float, float]] = ()  # xyxy, continuous pixels of the upright image
    box_labels: Sequence[int] | None = None  # as many as boxes; None: every box is of the image's class
    box_ignored: Sequence[bool] | None = None  # VOC's difficult, COCO's crowds: not learnt, not counted; None: none is
    size: tuple[int, int] = (0, 0)  # width, height of the upright image by its annotation; 0, 0: it does not say
    number: int = NO_NUMBER  # what files of results call the image where that is a number (COCO's id, ILSVRC's index)
    box_areas: Sequence[float] | None = None  # COCO's: pixels of each object's outline, not of its box; None: not said


@dataclass(frozen=True)
class Records:
    """Every image of one split: where it lies, its class, its boxes.  ``records[i]`` is a :class:`Record`."""

    root: Path
    classes: Classes
    path_bytes: Tensor  # (total,) uint8: every path, one after another
    path_ends: Tensor  # (N,) int64: where each path ends
    labels: Tensor  # (N,) int64
    boxes: Tensor  # (M, 4) float32
    box_labels: Tensor  # (M,) int64
    box_ends: Tensor  # (N,) int64: where each image's boxes end
    box_ignored: Tensor  # (M,) bool
    sizes: Tensor  # (N, 2) int32: width, height; 0 where the annotation does not say
    numbers: Tensor  # (N,) int64, NO_NUMBER where there is none
    box_areas: Tensor  # (M,) float32: pixels of the object's outline, -1 where it is not said; (0,) if it nowhere is
    pixels: Tensor | None = None  # (N, H, W, 3) uint8: the images themselves where they are no files (CIFAR)

    def __len__(self) -> int:
        return len(self.labels)

    def path(self, index: int) -> str:
        """The image's path relative to ``root``."""
        start, end = _span(self.path_ends, index)
        return self.path_bytes.numpy()[start:end].tobytes().decode(*CODEC)

    def file(self, index: int) -> Path:
        """Where the image lies."""
        return self.root / self.path(index)

    def open(self, index: int) -> StoredImage:
        """The image, its size known and its pixels still to be decoded.

        Raises:
            InputError: as :func:`resdet.data.stored_image.open_image`.
        """
        if self.pixels is None:
            return open_image(self.file(index))
        return of_pixels(self.pixels[index].numpy(), self.file(index))

    def whole_sizes(self) -> Tensor:
        """``(N, 2)`` int64: width and height of every image: by its annotation, or where that does not say, opened.

        Raises:
            InputError: as :meth:`open`.
        """
        sizes = self.sizes.to(torch.int64)
        for row in (sizes.amin(1) <= 0).nonzero()[:, 0].tolist():
            image = self.open(row)
            sizes[row] = torch.tensor([image.width, image.height])
        return sizes

    def name(self, index: int) -> str:
        """The image's file name without its folder and ending: the id that ILSVRC's files use."""
        return Path(self.path(index)).stem

    def paths(self) -> list[str]:
        """Every image's :meth:`path`, at once: matching a file of 50,000 rows asks for all of them."""
        raw, ends = self.path_bytes.numpy().tobytes(), self.path_ends.tolist()
        return [raw[start:end].decode(*CODEC) for start, end in pairwise([0, *ends])]

    def names(self) -> list[str]:
        """Every image's :meth:`name`, at once."""
        return [splitext(basename(path))[0] for path in self.paths()]

    def target(self, index: int) -> Target:
        """The image's class and boxes, in pixels of the whole image."""
        start, end = _span(self.box_ends, index)
        boxes, labels = self.boxes[start:end], self.box_labels[start:end]
        return Target(int(self.labels[index]), boxes, labels, self.box_ignored[start:end])

    def box_counts(self) -> Tensor:
        """``(N,)`` int64: how many boxes each image has."""
        return torch.diff(self.box_ends, prepend=self.box_ends.new_zeros(1))

    def box_images(self) -> Tensor:
        """``(M,)`` int64: the index of each box's image, ascending."""
        return torch.arange(len(self)).repeat_interleave(self.box_counts())

    def have_objects(self) -> Tensor:
        """``(N,)`` bool: whether each image has a box that is not ignored."""
        return torch.bincount(self.box_images()[~self.box_ignored], minlength=len(self)) > 0

    def with_own_boxes(self) -> Records:
        """The same images without boxes of other classes than their own, which localization does not learn from."""
        labels = self.labels[self.box_images()]
        own = (self.box_labels == labels) | (labels < 0)
        return self if bool(own.all()) else self._with_boxes(own)

    def without_boxes(self) -> Records:
        """The same images with their classes alone; the sizes that boxes refer to go too."""
        boxless = self._with_boxes(torch.zeros(len(self.boxes), dtype=torch.bool))
        return replace(boxless, sizes=torch.zeros_like(self.sizes).share_memory_())

    def _with_boxes(self, kept: Tensor) -> Records:
        """The same images with the boxes that an ``(M,)`` bool mask keeps."""
        return replace(
            self,
            boxes=self.boxes[kept].share_memory_(),
            box_labels=self.box_labels[kept].share_memory_(),
            box_ends=torch.bincount(self.box_images()[kept], minlength=len(self)).cumsum(0).share_memory_(),
            box_ignored=self.box_ignored[kept].share_memory_(),
            box_areas=self.box_areas[kept].share_memory_() if len(self.box_areas) else self.box_areas,
        )

    def select(self, indices: Tensor) -> Records:
        """The records of these ``(n,)`` int64 indices, in their order."""
        path_bytes, path_ends = _runs(self.path_bytes, self.path_ends, indices)
        boxes, box_ends = _runs(self.boxes, self.box_ends, indices)
        box_areas = _runs(self.box_areas, self.box_ends, indices)[0] if len(self.box_areas) else self.box_areas
        return replace(
            self,
            path_bytes=path_bytes.share_memory_(),
            path_ends=path_ends.share_memory_(),
            labels=self.labels[indices].share_memory_(),
            boxes=boxes.share_memory_(),
            box_labels=_runs(self.box_labels, self.box_ends, indices)[0].share_memory_(),
            box_ends=box_ends.share_memory_(),
            box_ignored=_runs(self.box_ignored, self.box_ends, indices)[0].share_memory_(),
            sizes=self.sizes[indices].share_memory_(),
            numbers=self.numbers[indices].share_memory_(),
            box_areas=box_areas.share_memory_(),
            pixels=None if self.pixels is None else self.pixels[indices].share_memory_(),
        )

    def __iter__(self) -> Iterator[Record]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Record:
        target = self.target(index)
        boxes = [tuple(box) for box in target.boxes.tolist()]
        width, height = self.sizes[index].tolist()
        flags, number = target.ignored.tolist(), int(self.numbers[index])
        start, end = _span(self.box_ends, index)
        areas = self.box_areas[start:end].tolist()
        known = areas if any(area >= 0 for area in areas) else None
        labels = target.labels.tolist()
        return Record(self.path(index), target.label, boxes, labels, flags, (width, height), number, known)


def pack(root: Path, classes: Classes, rows: Iterable[Record]) -> Records:
    """Pack records, taken one at a time, into shared flat arrays."""
    # array.array: lists of Python numbers would take ten times the memory of what comes out
    paths, path_ends, labels = bytearray(), array("q"), array("q")
    boxes, box_labels, box_ends, box_ignored = array("f"), array("q"), array("q"), bytearray()
    sizes, numbers, box_areas = array("i"), array("q"), array("f")
    for row in rows:
        paths += row.path.encode(*CODEC)
        path_ends.append(len(paths))
        labels.append(row.label)
        for box in row.boxes:
            boxes.extend(box)
        box_labels.extend([row.label] * len(row.boxes) if row.box_labels is None else row.box_labels)
        box_ignored.extend([0] * len(row.boxes) if row.box_ignored is None else map(bool, row.box_ignored))
        if row.box_areas is not None:  # most sets have none, and pay nothing for it
            box_areas.extend([-1.0] * (len(box_labels) - len(row.boxes) - len(box_areas)))
            box_areas.extend(row.box_areas)
        box_ends.append(len(box_labels))
        sizes.extend(row.size)
        numbers.append(row.number)
        if len(boxes) != 4 * len(box_labels):
            raise ValueError(f"{row.path}: {len(row.boxes)} boxes of four numbers came with labels {row.box_labels}")
        if len(box_ignored) != len(box_labels):
            raise ValueError(f"{row.path}: {len(row.boxes)} boxes came with flags {row.box_ignored}")
        if row.box_areas is not None and len(box_areas) != len(box_labels):
            raise ValueError(f"{row.path}: {len(row.boxes)} boxes came with areas {row.box_areas}")
    if box_areas:
        box_areas.extend([-1.0] * (len(box_labels) - len(box_areas)))
    return Records(
        root,
        classes,
        path_bytes=_shared(paths, np.uint8),
        path_ends=_shared(path_ends, np.int64),
        labels=_shared(labels, np.int64),
        boxes=_shared(boxes, np.float32).view(-1, 4),
        box_labels=_shared(box_labels, np.int64),
        box_ends=_shared(box_ends, np.int64),
        box_ignored=_shared(box_ignored, np.bool_),
        sizes=_shared(sizes, np.int32).view(-1, 2),
        numbers=_shared(numbers, np.int64),
        box_areas=_shared(box_areas, np.float32),
    )


def _shared(numbers: bytearray | array, kind: type) -> Tensor:
    """A copy in shared memory."""
    flat = torch.from_numpy(np.frombuffer(numbers, dtype=kind))
    return torch.empty_like(flat).share_memory_().copy_(flat)


def _runs(values: Tensor, ends: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """The runs of ``values`` that end at ``ends[indices]``, one after another, and where each ends now."""
    lengths = torch.diff(ends, prepend=ends.new_zeros(1))
    parts = []
    for some in indices.split(SELECTED_AT_ONCE):
        count = lengths[some]
        shift = ends[some] - count.cumsum(0)  # from a number's new place to its old one
        parts.append(values[torch.arange(int(count.sum())) + shift.repeat_interleave(count)])
    return torch.cat(parts), lengths[indices].cumsum(0)


def _span(ends: Tensor, index: int) -> tuple[int, int]:
    if not -len(ends) <= index < len(ends):
        raise IndexError(f"record {index} of {len(ends)}")
    index %= len(ends)
    flat = ends.numpy()  # a view; one of its numbers costs a tenth of a tensor's
    return (int(flat[index - 1]) if index else 0), int(flat[index])
