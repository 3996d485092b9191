"""From records to batches: which image comes when, how it is cut, and how a batch is put together.

What a training step sees is a function of the seed and the step's number alone, never of the number of
workers or of what ran before: a resumed run continues with the very images it would have seen.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from resdet.config import AugmentConfig, DataConfig, DetAugmentConfig
from resdet.data.augment import view_with_box
from resdet.data.colors import color_jitter, lighting, lit
from resdet.data.drawn import open_as_drawn_on
from resdet.data.records import Records
from resdet.data.stored_image import StoredImage, open_image
from resdet.data.views import centre, to_view
from resdet.errors import InputError
from resdet.structures import ImageBatch, Target, View


class Draw(NamedTuple):
    """One image of a training step."""

    index: int  # type: ignore[assignment]  # in the records; hides tuple.index
    seed: int  # of everything random about it
    size: int  # side of the crop, pixels


@dataclass(frozen=True)
class Plan:
    """Which images each training step takes: ``iter(plan)`` gives the batches from step ``start`` on.

    Every epoch is a new permutation; the last images that do not fill a batch wait for another epoch.
    """

    images: int
    batch_size: int  # over all processes
    steps: int
    seed: int
    sizes: tuple[tuple[float, int], ...]  # (from epoch, side)
    start: int = 0
    rank: int = 0
    processes: int = 1

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in one pass; a set smaller than a batch makes one step."""
        return max(1, self.images // self.batch_size)

    def __len__(self) -> int:
        return self.steps - self.start

    def __iter__(self) -> Iterator[list[Draw]]:
        order, order_epoch = torch.empty(0), -1
        for step in range(self.start, self.steps):
            epoch, place = divmod(step, self.steps_per_epoch)
            if epoch != order_epoch:
                order, order_epoch = torch.randperm(self.images, generator=generator(self.seed, epoch)), epoch
            rows = order[place * self.batch_size :][: self.batch_size][self.rank :: self.processes]
            side = self.size_at(step)
            yield [Draw(i, seed_of(self.seed, epoch, i), side) for i in rows.tolist()]

    def size_at(self, step: int) -> int:
        """The side of the crop at a step."""
        epoch = step / self.steps_per_epoch
        return next(side for start, side in reversed(self.sizes) if epoch >= start)


@dataclass(frozen=True)
class TrainingImages:
    """``self[Draw]`` is a random view of an image, its target in the view, and the image's index."""

    records: Records
    how: AugmentConfig
    fill: tuple[float, ...] = DataConfig.mean  # the colour around the image, where a view reaches outside it
    exact: bool = False  # large JPEGs are decoded at full size, not at the smallest that a view needs

    def __getitem__(self, draw: Draw) -> tuple[np.ndarray, Target, int]:
        rng = np.random.default_rng(draw.seed)
        target = self.records.target(draw.index)
        image = open_as_drawn_on(self.records, draw.index)
        view, target = view_with_box(rng, image.width, image.height, draw.size, self.how, target)
        pixels = image.view(view, self.fill, exact=self.exact)
        if (jitter := jitter_of(self.how)) is not None:
            pixels = jitter(pixels, draw.seed)
        if self.how.pca_lighting:
            pixels = lit(pixels, lighting(rng, self.how))
        return pixels, target, draw.index

    def __len__(self) -> int:
        return len(self.records)


@dataclass(frozen=True)
class TestImages:
    """``self[i]`` is the centre view of image ``i``, the whole target in the view's pixels, and ``i``."""

    records: Records
    resize: int
    size: int

    def __getitem__(self, index: int) -> tuple[np.ndarray, Target, int]:
        image = open_as_drawn_on(self.records, index)
        view = centre(image.width, image.height, self.resize, self.size)
        target = self.records.target(index)
        return image.view(view), replace(target, boxes=to_view(target.boxes, view)), index

    def __len__(self) -> int:
        return len(self.records)


class ViewedImage(NamedTuple):
    """One image cut into the views that a test protocol wants of it."""

    index: int  # type: ignore[assignment]
    width: int  # of the whole upright image
    height: int
    views: tuple[View, ...]
    pixels: tuple[np.ndarray, ...]  # (H, W, 3) uint8, one a view
    error: str | None = None  # why the image could not be read, where that is not fatal


@dataclass(frozen=True)
class ViewedImages:
    """``self[i]`` is the :class:`ViewedImage` of file ``i``.

    Args:
        file: where image ``i`` lies; or the image, opened (:meth:`resdet.data.records.Records.open`).
        count: how many images there are.
        views: the views of an image of a width and a height.
        skip_bad: an image that cannot be read comes without views, its ``error`` set, in place of an exception.
    """

    file: Callable[[int], Path | StoredImage]
    count: int
    views: Callable[[int, int], list[View]]
    skip_bad: bool = False

    def __getitem__(self, index: int) -> ViewedImage:
        try:
            image = open_image(self.file(index))
            views = tuple(self.views(image.width, image.height))
            return ViewedImage(index, image.width, image.height, views, image.views(views))
        except InputError as error:
            if not self.skip_bad:
                raise
            return ViewedImage(index, 0, 0, (), (), str(error))

    def __len__(self) -> int:
        return self.count


def viewed_as_drawn_on(records: Records, views: Callable[[int, int], list[View]]) -> ViewedImages:
    """All images of ``records``, each at the size that its boxes were drawn at, cut into ``views``."""
    return ViewedImages(partial(open_as_drawn_on, records), len(records), views)


@dataclass(frozen=True)
class Batches:
    """The batches of a loader; a bad image is the same one-line :class:`InputError` with workers as without."""

    loader: DataLoader

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self.loader
        except InputError as error:  # a worker's: torch has put its whole traceback before the message
            raise InputError(str(error).rpartition("InputError: ")[2].strip()) from error
        except RuntimeError as error:
            if "DataLoader worker (pid" not in str(error):  # what a worker raised is told with "worker process" in it
                raise
            raise MemoryError(
                "a loader worker was killed, most often for want of memory, or of room in /dev/shm: lower data.workers"
            ) from error

    def __len__(self) -> int:
        return len(self.loader)


def view_loader(images: ViewedImages, batch_size: int, workers: int, rank: int = 0, processes: int = 1) -> Batches:
    """Lists of ``batch_size`` viewed images, in order; of ``processes``, each takes every ``processes``-th list."""
    order = in_order(len(images), batch_size)[rank::processes]
    return make_loader(images, workers, batch_sampler=order, collate_fn=list)


def training_loader(images: TrainingImages, plan: Plan, workers: int) -> Batches:
    """Batches of :class:`ImageBatch`, one a step of ``plan``."""
    return make_loader(images, workers, batch_sampler=plan)


def test_loader(images: TestImages, batch_size: int, workers: int) -> Batches:
    """Batches of every image once, in order."""
    return make_loader(images, workers, batch_sampler=in_order(len(images), batch_size))


def collate(rows: Sequence[tuple[np.ndarray, Target, int]]) -> ImageBatch:
    """Stack views of one size: pixels stay uint8 and channels-last in memory."""
    pixels = torch.from_numpy(np.stack([r[0] for r in rows])).permute(0, 3, 1, 2)  # (B, 3, H, W)
    return ImageBatch(pixels, tuple(r[1] for r in rows), tuple(r[2] for r in rows))


def in_order(images: int, batch_size: int) -> list[list[int]]:
    """Every image once, from the first to the last, in batches."""
    return [list(range(i, min(i + batch_size, images))) for i in range(0, images, batch_size)]


def make_loader(
    images: object, workers: int, *, batch_sampler: object, collate_fn: Callable[..., object] = collate
) -> Batches:
    """The batches that ``batch_sampler`` names, each put together by ``collate_fn``."""
    loader: DataLoader = DataLoader(
        images,  # type: ignore[arg-type]
        batch_sampler=batch_sampler,  # type: ignore[arg-type]
        num_workers=workers,
        collate_fn=collate_fn,
        worker_init_fn=_as_one_of_many if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    return Batches(loader)


def _as_one_of_many(worker: int) -> None:
    """Keep a loader worker to one thread, and from copying the memory that it shares with its parent.

    Python's garbage collector writes into every object that it looks at, and a page that is written to is copied.
    """
    import cv2

    gc.freeze()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def generator(seed: int, epoch: int) -> torch.Generator:
    """What draws an epoch's order."""
    return torch.Generator().manual_seed(seed_of(seed, epoch))


def seed_of(*numbers: int) -> int:
    """A seed of 31 bits from several numbers, the same in every process: hashes of integers are not randomised."""
    return hash(numbers) & 0x7FFFFFFF


@cache
def jitter_of(how: AugmentConfig | DetAugmentConfig) -> Callable[[np.ndarray, int], np.ndarray] | None:
    """:func:`resdet.data.colors.color_jitter`, made once in each worker: it cannot be pickled."""
    return color_jitter(how)
