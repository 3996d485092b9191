"""Which row of a file belongs to which image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resdet.errors import InputError
from resdet.predictions.loc import LocPredictions


def alphabetical(names: Sequence[str]) -> NDArray[np.int64]:
    """``(N,)``: the images in alphabetical order of their names, the order of ILSVRC's files."""
    return np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)


def by_name(wanted: Sequence[str], given: Sequence[str], places: Sequence[str], file: object) -> NDArray[np.int64]:
    """``(N,)``: for each row of a file, the image it belongs to.

    Args:
        wanted: the names of the ``N`` images.
        given: the name in each row of the file, and where that row is (``places``), for error messages.

    Raises:
        InputError: an image has no row, or two; a row names no image; two images share a name.
    """
    images = {name: index for index, name in enumerate(wanted)}
    if len(images) < len(wanted):
        twice = next(name for index, name in enumerate(wanted) if images[name] != index)
        raise InputError(f"{file}: rows are matched by image name, but the data set has two images {twice!r}")
    seen: set[str] = set()
    for name, place in zip(given, places, strict=True):
        if name not in images:
            raise InputError(f"{place}: image {name!r} is not among the data set's {len(wanted)}")
        if name in seen:
            raise InputError(f"{place}: image {name!r} has a row already")
        seen.add(name)
    if len(seen) < len(wanted):
        first = next(name for name in wanted if name not in seen)
        raise InputError(
            f"{file}: no row for {len(wanted) - len(seen)} of {len(wanted)} images, the first is {first!r}"
        )
    return np.array([images[name] for name in given], dtype=np.int64)


def reorder(predictions: LocPredictions, images: NDArray[np.int64]) -> LocPredictions:
    """Put row ``r`` of a file's predictions where image ``images[r]`` of the records is."""
    labels, boxes = np.empty_like(predictions.labels), np.empty_like(predictions.boxes)
    labels[images], boxes[images] = predictions.labels, predictions.boxes
    return LocPredictions(labels, boxes)
