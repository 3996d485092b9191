"""The boxes of ILSVRC CLS-LOC: XML files, or Kaggle's LOC_train_solution.csv and LOC_val_solution.csv.

A source is a function from an image's name to the place that an error is to name, and the annotation, None where there
is none.  Its coordinates count pixels from 0 and include the last one: ILSVRC's annotations have xmin 0.

Train's boxes are not as clean as val's (TensorFlow's slim, ``datasets/process_bounding_boxes.py``): many dogs are
called Scottish_deerhound in place of their WNID, and of some boxes the minimum is above the maximum.  So there a name
that is no class is the image's own class, and corners are put in order.
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
from resdet.data.formats.voc_xml import Annotation, Object
from resdet.errors import InputError

Source = Callable[[str, Container[str] | None], tuple[str, Annotation | None]]


def open_boxes(base: Path, split: str) -> Source | None:
    """The annotations of ``train``, ``train_cls`` or ``val``: the XML files, else the CSV, else None."""
    folder, is_train = annotations_of(base, split), folder_of(split) == "train"
    solution = find_beside(base, f"LOC_{folder_of(split)}_solution.csv")
    if folder.is_dir():
        source = _xml_source(folder, split, any_corners=is_train)
    elif solution:
        source = _csv_source(solution, any_corners=is_train)
    else:
        return None
    return _of_train(source) if is_train else source


def _of_train(source: Source) -> Source:
    """``source`` with the image's own class, which is its folder, in place of every name that is no class."""

    def annotation(name: str, classes: Container[str] | None) -> tuple[str, Annotation | None]:
        place, found = source(name, None)
        if found is None or classes is None:
            return place, found
        own = name.partition("/")[0]
        objects = tuple(o if o.name in classes else o._replace(name=own) for o in found.objects)
        return place, found._replace(objects=objects)

    return annotation


def _xml_source(folder: Path, split: str, *, any_corners: bool) -> Source:
    there = files_of(folder, (".xml",), split) if split == "val" else {}  # flat, or in class folders

    def annotation(name: str, classes: Container[str] | None) -> tuple[str, Annotation | None]:
        file = f"{folder}/{there.get(name, f'{name}.xml')}"
        return file, voc_xml.read(file, 0, classes, any_corners=any_corners) if os.path.exists(file) else None

    return annotation


def _csv_source(file: Path, *, any_corners: bool) -> Source:
    rows = solution_rows(file)

    def annotation(name: str, classes: Container[str] | None) -> tuple[str, Annotation | None]:
        image = name.rsplit("/", 1)[-1]  # the CSV names train images without their folder
        if image not in rows:
            return f"{file}: {image}", None
        line, text = rows[image]
        place = f"{file}:{line}"
        return place, Annotation(None, _solution_objects(text.split(), place, classes, any_corners=any_corners))

    return annotation


def solution_rows(file: Path) -> dict[str, tuple[int, str]]:
    """From image to its line number and ``PredictionString``.

    Raises:
        InputError: it cannot be read, is not UTF-8 or no such table, has an image twice, or a row of several lines.
    """
    try:
        with open(file, newline="", encoding="utf-8-sig") as opened:
            return _rows(file, opened)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; wanted ImageId,PredictionString") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: wanted ImageId,PredictionString as UTF-8 text: {error}") from None


def _rows(file: Path, opened: TextIO) -> dict[str, tuple[int, str]]:
    lines = csv.reader(opened, strict=True)
    header = next(lines, [])
    if header != ["ImageId", "PredictionString"]:
        raise InputError(f"{file}:1: wanted the header ImageId,PredictionString, got {','.join(header)!r}")
    rows: dict[str, tuple[int, str]] = {}
    for row in lines:
        if len(row) != 2:
            raise InputError(f"{file}:{lines.line_num}: wanted ImageId,PredictionString, got {len(row)} columns")
        if "\n" in row[0] + row[1]:  # else the rows up to the next quote would be this one's boxes
            raise InputError(
                f"{file}:{lines.line_num}: a quote is open over the end of a line, from {row[0][:40]!r} on"
            )
        if row[0] in rows:  # the boxes of one of the two would be lost
            raise InputError(f"{file}:{lines.line_num}: image {row[0]!r} has a row already, in line {rows[row[0]][0]}")
        rows[row[0]] = lines.line_num, row[1]
    return rows


def _solution_objects(
    words: list[str], place: str, classes: Container[str] | None, *, any_corners: bool
) -> tuple[Object, ...]:
    """Groups of five words: ``wnid xmin ymin xmax ymax``."""
    if len(words) % 5:
        raise InputError(f"{place}: wanted groups of 'class xmin ymin xmax ymax', got {len(words)} words")
    found = []
    for number, at in enumerate(range(0, len(words), 5), 1):
        wnid, *box = words[at : at + 5]
        if classes is not None and wnid not in classes:
            raise InputError(f"{place}: object {number}: class {wnid!r} is not in the class list")
        found.append(Object(wnid, read_box(box, f"{place}: object {number}", 0, any_corners=any_corners)))
    return tuple(found)
