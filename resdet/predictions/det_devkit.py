"""The ILSVRC development kit's DET text: a line a detection, ``image_index det_id score xmin ymin xmax ymax``.

Boxes are inclusive pixels counted from 0, as in ILSVRC's annotations.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resdet.data.records import Records
from resdet.errors import InputError
from resdet.predictions.columns import Table, read_table
from resdet.predictions.det import DetPredictions, predictions
from resdet.predictions.inclusive import as_inclusive, from_inclusive
from resdet.predictions.match import finder, image_names
from resdet.predictions.numbering import class_numbers, find, image_numbers

IMAGES_FILE = "images.txt"  # what the images' numbers mean, where tools/infer.py wrote it: lines `<name> <number>`
COLUMNS = ("image_index", "det_id", "score", "xmin", "ymin", "xmax", "ymax")
FIRST_PIXEL = 0


def read(file: Path, text: str, records: Records) -> DetPredictions:
    """Read a file's ``text``.

    Images and classes go by their numbers, see :mod:`.numbering`; images by those of ``images.txt``, matched by names,
    where that lies beside the file: ``tools/infer.py``, which knows no data set, counts images by itself.

    Raises:
        InputError: a malformed line, or an image or a class that the data set does not have.
    """
    table = read_table(file, text.replace(",", " "), COLUMNS)  # dlmwrite's own choice is the comma
    told = _told_images(file.with_name(IMAGES_FILE), records)
    numbers = image_numbers(records) if told is None else told[0]
    images = _known(table, 0, numbers, "image")
    images = images if told is None else told[1][images]
    labels = _known(table, 1, class_numbers(records.classes), "class")
    return predictions(images, labels, table.numbers[:, 2], from_inclusive(table.numbers[:, 3:], FIRST_PIXEL))


def format_lines(found: DetPredictions, images: NDArray[np.int64], classes: NDArray[np.int64]) -> str:
    """A line for each detection, in order, each with its newline.

    Args:
        images, classes: the numbers of the data set's images and classes, see :mod:`.numbering`.
    """
    pixels = as_inclusive(found.boxes, FIRST_PIXEL).tolist()
    rows = zip(
        images[found.images].tolist(), classes[found.labels].tolist(), found.scores.tolist(), pixels, strict=True
    )
    return "".join(
        f"{image} {label} {score:.9g} {x1:.10g} {y1:.10g} {x2:.10g} {y2:.10g}\n"  # 9 digits: of float32 none is lost
        for image, label, score, (x1, y1, x2, y2) in rows
    )


def _told_images(beside: Path, records: Records) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Numbers, and the images of the data set that they are; None where no file says so of any of these images."""
    find_image = finder(image_names(records), of_files=True)
    image_of: dict[int, int] = {}
    try:
        for line in beside.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            name, _, number = line.rpartition(" ")
            if (index := find_image(name)) is not None:
                image_of[int(number)] = index
        numbers, indices = (np.array([*each], dtype=np.int64) for each in (image_of, image_of.values()))
    except (OSError, ValueError, OverflowError):  # there is none, or it is something else
        return None
    return (numbers, indices) if image_of else None


def _known(table: Table, column: int, known: NDArray[np.int64], what: str) -> NDArray[np.int64]:
    indices = find(table.numbers[:, column], known)
    if (indices < 0).any():
        row = int(np.argmin(indices))
        ends = f", numbered {known.min()} to {known.max()}" if len(known) else ""
        number = f"{table.numbers[row, column]:.15g}"
        raise InputError(f"{table.place(row)}: {what} {number} is none of the data set's {len(known)}{ends}")
    return indices
