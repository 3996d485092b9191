"""Which row of a file belongs to which image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from os.path import basename, commonpath, dirname, splitext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resdet.data.image_files import row_ids
from resdet.data.records import Records
from resdet.errors import InputError
from resdet.predictions.loc import LocPredictions


def alphabetical(names: Sequence[str]) -> NDArray[np.int64]:
    """``(N,)``: the images in alphabetical order of their names, the order of ILSVRC's files."""
    return np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)


class ImageNames(NamedTuple):
    """What files of results call the images of a data set."""

    ids: list[str]  # without ending, as ILSVRC and VOC do; where two would be the same, with what tells them apart
    files: list[str]  # the same with the files' endings


def image_names(records: Records) -> ImageNames:
    """By file name; where two images share one, ``cat/1.jpg`` and ``dog/1.jpg``, all by the path in their set.

    ``tools/infer.py`` names the files that it is given in the same way, see :func:`resdet.data.image_files.row_ids`.
    """
    paths = records.paths()
    files = [basename(path) for path in paths]
    ids = [splitext(file)[0] for file in files]
    if len(set(ids)) == len(ids):
        return ImageNames(ids, files)
    common = commonpath({dirname(path) for path in paths}) + "/"
    files = [path.removeprefix(common) for path in paths]
    return ImageNames(row_ids(files), files)


def finder(names: ImageNames, *, of_files: bool = False) -> Callable[[str], int | None]:
    """A function from a name in a file of results to the index of the image that it names, None where there is none.

    A name may have its image's ending, and folders before it that the data set does not have.

    Args:
        of_files: the names are those of image files, whose ending may have changed; else they are ids.
    """
    ids, files = ({name: index for index, name in enumerate(each)} for each in names)

    def find(name: str) -> int | None:
        tables = ((files, name), (ids, splitext(name)[0])) if of_files else ((ids, name), (files, name))
        return next((table[tail] for table, word in tables for tail in _tails(word) if tail in table), None)

    return find


def by_name(
    records: Records, given: Sequence[str], places: Sequence[str], file: object, *, of_files: bool = False
) -> NDArray[np.int64]:
    """``(N,)``: for each row of a file, the image of ``records`` that it belongs to.

    Args:
        given: the name in each row of the file, and where that row is (``places``), for error messages.
        of_files: as :func:`finder` has it.

    Raises:
        InputError: an image has no row, or two; a row names no image; two images share a name.
    """
    names = image_names(records)
    wanted = names.ids
    if len(set(wanted)) < len(wanted):
        twice = Counter(wanted).most_common(1)[0][0]
        raise InputError(f"{file}: rows are matched by image name, but the data set has two images {twice!r}")
    find = finder(names, of_files=of_files)
    found: dict[int, None] = {}
    for name, place in zip(given, places, strict=True):
        index = find(name)
        if index is None:
            such = f", such as {wanted[0]!r}" if wanted else ""
            raise InputError(f"{place}: image {name!r} is not among the data set's {len(wanted)}{such}")
        if index in found:
            raise InputError(f"{place}: image {name!r} has a row already")
        found[index] = None
    if len(found) < len(wanted):
        first = next(name for index, name in enumerate(wanted) if index not in found)
        raise InputError(
            f"{file}: no row for {len(wanted) - len(found)} of {len(wanted)} images, the first is {first!r}"
        )
    return np.array(list(found), dtype=np.int64)


def _tails(name: str) -> Iterator[str]:
    """``a/b/c``, ``b/c``, ``c``."""
    while name:
        yield name
        name = name.partition("/")[2]


def reorder(predictions: LocPredictions, images: NDArray[np.int64]) -> LocPredictions:
    """Put row ``r`` of a file's predictions where image ``images[r]`` of the records is."""
    labels, boxes = np.empty_like(predictions.labels), np.empty_like(predictions.boxes)
    labels[images], boxes[images] = predictions.labels, predictions.boxes
    return LocPredictions(labels, boxes)
