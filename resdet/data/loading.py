"""From records to batches of crops: how an image is cut, how a batch is put together, and the loader of all tasks."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from resdet.config import AugmentConfig, DataConfig, DetAugmentConfig
from resdet.data.augment import view_with_box
from resdet.data.colors import color_jitter, lighting, lit
from resdet.data.drawn import open_as_drawn_on
from resdet.data.plan import Draw, Plan
from resdet.data.records import Records
from resdet.data.views import centre, to_view
from resdet.errors import InputError
from resdet.structures import ImageBatch, Target


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


@cache
def jitter_of(how: AugmentConfig | DetAugmentConfig) -> Callable[[np.ndarray, int], np.ndarray] | None:
    """:func:`resdet.data.colors.color_jitter`, made once in each worker: it cannot be pickled."""
    return color_jitter(how)
