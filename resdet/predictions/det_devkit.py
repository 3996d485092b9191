"""The ILSVRC development kit's DET text: a line a detection, ``image_index det_id score xmin ymin xmax ymax``.

Boxes are inclusive pixels counted from 0, as in ILSVRC's annotations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resdet.data.records import Classes, Records
from resdet.errors import InputError
from resdet.predictions.columns import Table, read_table
from resdet.predictions.det import DetPredictions, predictions
from resdet.predictions.inclusive import as_inclusive, from_inclusive
from resdet.predictions.match import finder, image_names
from resdet.predictions.numbering import class_numbers, find, image_numbers

IMAGES_FILE, CLASSES_FILE = "images.txt", "classes.txt"  # what numbers mean, by tools/infer.py: `<name or id> <number>`
COLUMNS = ("image_index", "det_id", "score", "xmin", "ymin", "xmax", "ymax")
FIRST_PIXEL = 0


def read(file: Path, text: str, records: Records) -> DetPredictions:
    """Read a file's ``text``.

    Images and classes go by their numbers, see :mod:`.numbering`; by those of ``images.txt`` and ``classes.txt``,
    matched by names, where these lie beside the file: ``tools/infer.py``, which knows no data set, counts by itself.

    Raises:
        InputError: a malformed line, or an image or a class that the data set does not have.
    """
    table = read_table(file, text.replace(",", " "), COLUMNS)  # dlmwrite's own choice is the comma
    find_image = finder(image_names(records), of_files=True)
    images_told = _told(file.with_name(IMAGES_FILE), find_image)
    images = _known(table, 0, image_numbers(records), images_told, "image")
    classes_told = _told(file.with_name(CLASSES_FILE), _label_finder(records.classes))
    labels = _known(table, 1, class_numbers(records.classes), classes_told, "class")
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


def _label_finder(classes: Classes) -> Callable[[str], int | None]:
    """By a class's id, or by its name where no other has it."""
    times = Counter(classes.names)
    label_of = {name: label for label, name in enumerate(classes.names) if times[name] == 1}
    return (label_of | {class_id: label for label, class_id in enumerate(classes.ids)}).get


_Told = tuple[NDArray[np.int64], NDArray[np.int64]]  # numbers, and the data set's indices that they are


def _told(beside: Path, find_index: Callable[[str], int | None]) -> _Told | None:
    """The numbers that a file gives to images or classes of this data set; None where it names none, or is not there.

    Raises:
        InputError: a line that names something of this data set has no number, or one that another line has; or two
            lines name one thing.
    """
    index_of: dict[int, int] = {}
    row_of: dict[int, int] = {}
    faults = []
    try:
        lines = beside.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    for row, line in enumerate(lines, 1):
        name, _, number = line.rpartition(" ")
        if (index := find_index(name)) is None:
            continue
        if (first := row_of.setdefault(index, row)) != row:
            faults.append(f"{beside}:{row}: {name!r} is the same one of the data set's as in line {first}")
        elif number.isascii() and number.isdecimal() and len(number) < 19 and int(number) not in index_of:
            index_of[int(number)] = index
        else:
            faults.append(f"{beside}:{row}: wanted {name!r} and a number that no other line has, got {line[:80]!r}")
    if not index_of:  # it is something else
        return None
    if faults:
        raise InputError(faults[0])
    numbers, indices = (np.array([*each], dtype=np.int64) for each in (index_of, index_of.values()))
    return numbers, indices


def _known(table: Table, column: int, own: NDArray[np.int64], told: _Told | None, what: str) -> NDArray[np.int64]:
    """The data set's indices that a column's numbers mean: its own numbers, or those that a file beside it tells."""
    known = own if told is None else told[0]
    indices = find(table.numbers[:, column], known)
    if (indices < 0).any():
        row = int(np.argmin(indices))
        ends = f", numbered {known.min()} to {known.max()}" if len(known) else ""
        number = f"{table.numbers[row, column]:.15g}"
        raise InputError(f"{table.place(row)}: {what} {number} is none of the data set's {len(known)}{ends}")
    return indices if told is None else told[1][indices]
