"""PASCAL VOC's result files: one a class, ``comp4_det_test_<class>.txt``, a line a detection: ``id score x1 y1 x2 y2``.

The id is the image's name without its ending; with it, it is read too.  Boxes are inclusive pixels counted from 1, as
in VOC's annotations.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from resdet.data.formats.named_files import LONGEST_NAME
from resdet.data.records import CODEC, Classes, Records
from resdet.errors import InputError
from resdet.predictions.columns import read_table
from resdet.predictions.det import DetPredictions, predictions
from resdet.predictions.inclusive import as_inclusive, from_inclusive
from resdet.predictions.match import image_names

FILE_NAME = "comp4_det_test_{}.txt"
PATTERN = re.compile(r"(?:.*_)?det_[^_]+_(.+)\.txt", re.DOTALL)  # of other competitions and splits too, such as comp3's
COLUMNS = ("score", "xmin", "ymin", "xmax", "ymax")
FIRST_PIXEL = 1


def read(files: Iterable[tuple[Path, str]], records: Records) -> DetPredictions:
    """Read result files, each with its text; a class without a file has no detections.

    Raises:
        InputError: a malformed line, an image that the data set does not have, a file that names no class of it, or a
            class with two files.
    """
    names = image_names(records)
    if len(set(names.ids)) < len(names.ids):
        raise InputError(f"{records.root}: an image is in it twice, which VOC's result files cannot tell apart")
    image_of = {name: index for each in (names.files, names.ids) for index, name in enumerate(each)}  # ids come first
    parts: list[DetPredictions] = []
    seen: dict[int, Path] = {}
    for file, text in files:
        label = label_of(file, records.classes)
        if label in seen:
            raise InputError(f"{file}: class {records.classes.ids[label]!r} has another file, {seen[label].name}")
        seen[label] = file
        parts.append(_read_class(file, text, label, image_of, names.ids))
    fields = ([getattr(part, name) for part in parts] for name in ("images", "labels", "scores", "boxes"))
    return DetPredictions(*(np.concatenate(field) for field in fields))


def label_of(file: Path, classes: Classes) -> int:
    """The class that a result file is of, by its name.

    Raises:
        InputError: none of ``classes``, or another kind of name.
    """
    match = PATTERN.fullmatch(file.name)
    if match is None:
        raise InputError(f"{file}: wanted a name such as {FILE_NAME.format(classes.ids[0])}, which says the class")
    for words in (classes.ids, classes.names):
        if match[1] in words:
            return words.index(match[1])
    raise InputError(f"{file}: class {match[1]!r} is none of the data set's {len(classes)}")


def file_name(class_id: str) -> str:
    """What the result file of a class is called.

    Raises:
        InputError: the class cannot be in a file's name.
    """
    if not class_id or set(class_id) & set('/\\:*?"<>|\0\n'):
        raise InputError(f"class {class_id!r} cannot be in a file's name, as VOC's form wants it")
    name = FILE_NAME.format(class_id)
    if len(name.encode(*CODEC)) > LONGEST_NAME:
        raise InputError(f"class {class_id!r} is too long to be in a file's name, as VOC's form wants it")
    return name


def fault(records: Records) -> str:
    """Why this form cannot hold a data set, in one line; empty where it can."""
    ids = image_names(records).ids
    if twice := next((name for name, times in Counter(ids).items() if times > 1), None):
        return f"two images are called {twice!r}, which VOC's form could not tell apart"
    if broken := next((name for name in ids if name.split() != [name]), None):
        return f"image {broken!r}: VOC's form takes no spaces in names"
    if broken := next((name for name in ids if not _is_text(name)), None):
        return f"image {broken!r}: its name is not UTF-8, as VOC's form wants it"
    try:
        for class_id in records.classes.ids:
            file_name(class_id)
    except InputError as error:
        return str(error)
    return ""


def format_lines(found: DetPredictions, names: Sequence[str]) -> str:
    """The lines of one class's file, in order, each with its newline.

    Args:
        found: detections of that class alone.
        names: of the data set's images, without ending.
    """
    rows = zip(
        found.images.tolist(), found.scores.tolist(), as_inclusive(found.boxes, FIRST_PIXEL).tolist(), strict=True
    )
    return "".join(
        f"{names[image]} {score:.9g} {x1:.10g} {y1:.10g} {x2:.10g} {y2:.10g}\n"
        for image, score, (x1, y1, x2, y2) in rows
    )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes of a file's name that are no UTF-8
        return False
    return True


def _read_class(file: Path, text: str, label: int, image_of: dict[str, int], ids: list[str]) -> DetPredictions:
    longest = max(map(len, image_of), default=0)
    table = read_table(file, text, COLUMNS, word_length=longest + 1)  # cut to one more it is still none of them
    images = [image_of.get(name, -1) for name in table.words.tolist()]
    if -1 in images:
        row = images.index(-1)
        such = f", such as {ids[0]!r}" if ids else ""
        raise InputError(f"{table.place(row)}: image {table.word(row)!r} is none of the data set's {len(ids)}{such}")
    boxes = from_inclusive(table.numbers[:, 1:], FIRST_PIXEL)
    return predictions(images, np.full(len(images), label), table.numbers[:, 0], boxes)
