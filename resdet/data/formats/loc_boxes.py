"""The boxes of ILSVRC CLS-LOC: XML files, or Kaggle's LOC_train_solution.csv and LOC_val_solution.csv.

A source answers for an image's name with the place that an error is to name and the objects, None where the image is
not annotated.  Its coordinates count pixels from 0 and include the last one: ILSVRC's annotations have xmin 0.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Container
from pathlib import Path
from typing import TextIO

from resdet.data.formats import voc_xml
from resdet.data.formats.inclusive import read_box
from resdet.data.formats.loc_files import annotations_of, files_of, find_beside, folder_of
from resdet.data.formats.voc_xml import Object
from resdet.errors import InputError

Source = Callable[[str, Container[str] | None], tuple[str, tuple[Object, ...] | None]]


def open_boxes(base: Path, split: str) -> Source | None:
    """The annotations of ``train``, ``train_cls`` or ``val``: the XML files, else the CSV, else None."""
    folder = annotations_of(base, split)
    if folder.is_dir():
        return _xml_source(folder, split)
    solution = find_beside(base, f"LOC_{folder_of(split)}_solution.csv")
    return _csv_source(solution) if solution else None


def _xml_source(folder: Path, split: str) -> Source:
    there = files_of(folder, (".xml",), split) if split == "val" else {}  # flat, or in class folders

    def objects(name: str, classes: Container[str] | None) -> tuple[str, tuple[Object, ...] | None]:
        file = f"{folder}/{there.get(name, f'{name}.xml')}"
        return file, voc_xml.read(file, first_pixel=0, classes=classes).objects if os.path.exists(file) else None

    return objects


def _csv_source(file: Path) -> Source:
    rows = solution_rows(file)

    def objects(name: str, classes: Container[str] | None) -> tuple[str, tuple[Object, ...] | None]:
        image = name.rsplit("/", 1)[-1]  # the CSV names train images without their folder
        if image not in rows:
            return f"{file}: {image}", None
        line, text = rows[image]
        return f"{file}:{line}", _solution_objects(text.split(), f"{file}:{line}", classes)

    return objects


def solution_rows(file: Path) -> dict[str, tuple[int, str]]:
    """From image to its line number and ``PredictionString``.

    Raises:
        InputError: it cannot be read, is not UTF-8 or no such table.
    """
    try:
        with open(file, newline="", encoding="utf-8-sig") as opened:
            return _rows(file, opened)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; wanted ImageId,PredictionString") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: wanted ImageId,PredictionString as UTF-8 text: {error}") from None


def _rows(file: Path, opened: TextIO) -> dict[str, tuple[int, str]]:
    lines = csv.reader(opened)
    header = next(lines, [])
    if header != ["ImageId", "PredictionString"]:
        raise InputError(f"{file}:1: wanted the header ImageId,PredictionString, got {','.join(header)!r}")
    rows = {}
    for row in lines:
        if len(row) != 2:
            raise InputError(f"{file}:{lines.line_num}: wanted ImageId,PredictionString, got {len(row)} columns")
        rows[row[0]] = lines.line_num, row[1]
    return rows


def _solution_objects(words: list[str], place: str, classes: Container[str] | None) -> tuple[Object, ...]:
    """Groups of five words: ``wnid xmin ymin xmax ymax``."""
    if len(words) % 5:
        raise InputError(f"{place}: wanted groups of 'class xmin ymin xmax ymax', got {len(words)} words")
    found = []
    for number, at in enumerate(range(0, len(words), 5), 1):
        wnid, *box = words[at : at + 5]
        if classes is not None and wnid not in classes:
            raise InputError(f"{place}: object {number}: class {wnid!r} is not in the class list")
        found.append(Object(wnid, read_box(box, f"{place}: object {number}", first_pixel=0)))
    return tuple(found)
