"""Images cut into the views that a test protocol wants of each, one or many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from resdet.data.drawn import open_as_drawn_on
from resdet.data.loading import Batches, in_order, make_loader
from resdet.data.records import Records
from resdet.data.stored_image import StoredImage, open_image
from resdet.errors import InputError
from resdet.structures import View


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


def view_loader(images: ViewedImages, batch_size: int, workers: int, rank: int = 0, processes: int = 1) -> Batches:
    """Lists of ``batch_size`` viewed images, in order; of ``processes``, each takes every ``processes``-th list."""
    order = in_order(len(images), batch_size)[rank::processes]
    return make_loader(images, workers, batch_sampler=order, collate_fn=list)
