"""Kaggle's CSV of the Object Localization Challenge: ``ImageId,PredictionString``.

The string holds groups of five, ``class xmin ymin xmax ymax``.  The class is an id (a WNID) or a number: the
line, from 1, of ``LOC_synset_mapping.txt``, which is the sorted WNIDs; for other classes the place in their list.
The competition's own solution files have this form too, with WNIDs.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from resdet.data.lists import imagenet_wnids
from resdet.data.records import Classes, Records
from resdet.errors import InputError
from resdet.predictions.groups import first_guesses, parse, write
from resdet.predictions.loc import LocPredictions, to_inclusive
from resdet.predictions.match import by_name, image_names, reorder
from resdet.structures import Detections

HEADER = "ImageId,PredictionString\n"


def class_words(classes: Classes, numbers: bool = False) -> tuple[str, ...]:
    """The word each label has in a CSV: its id, or its number where that is wanted or an id is not one plain word.

    Where ids look like numbers themselves they are written all the same, since a reader could not tell the two apart.
    """
    if not _plain(classes) or (numbers and not _numeric(classes)):
        return tuple(map(str, _numbers(classes)))
    return classes.ids


def format_line(name: str, detections: Detections, width: int, height: int, words: tuple[str, ...]) -> str:
    """One image's row, with its newline, below :data:`HEADER`; ``words`` are :func:`class_words`."""
    kept = first_guesses(detections)
    chosen = [words[label] for label in kept.labels.tolist()]
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow([name, write(chosen, to_inclusive(kept.boxes, width, height))])
    return row.getvalue()


def read(file: Path, text: str, records: Records) -> LocPredictions:
    """Read a file's ``text``; its rows may come in any order.

    Raises:
        InputError: a malformed row, an image without a row, or twice, or unknown.
    """
    rows = _rows(file, text)
    if not rows or ",".join(rows[0][1]) + "\n" != HEADER:
        raise InputError(f"{file}:1: wanted the header {HEADER.strip()}")
    places = [place for place, _ in rows[1:]]
    for place, row in rows:
        if len(row) != 2:
            raise InputError(f"{place}: wanted ImageId,PredictionString, got {len(row)} columns")
    known = set(image_names(records).ids)
    given = [row[0] if row[0] in known else row[0].strip() for _, row in rows[1:]]
    images = by_name(records, given, places, file)
    return reorder(parse([row[1] for _, row in rows[1:]], places, _labels(records.classes)), images)


def _rows(file: Path, text: str) -> list[tuple[str, list[str]]]:
    """Every row that is not empty, each with its place."""
    reader = csv.reader(io.StringIO(text))
    try:
        return [(f"{file}:{reader.line_num}", row) for row in reader if row]
    except csv.Error as error:
        raise InputError(f"{file}:{reader.line_num}: not CSV: {error}") from None


def _labels(classes: Classes) -> dict[str, int]:
    ids = {word: label for label, word in enumerate(classes.ids)}
    numbers = {str(number): label for label, number in enumerate(_numbers(classes))}
    if not _plain(classes):
        return numbers
    return ids if _numeric(classes) else ids | numbers


def _numbers(classes: Classes) -> tuple[int, ...]:
    if set(classes.ids) == set(imagenet_wnids()):
        lines = {wnid: number for number, wnid in enumerate(imagenet_wnids(), 1)}
        return tuple(lines[wnid] for wnid in classes.ids)
    return tuple(range(1, len(classes) + 1))


def _plain(classes: Classes) -> bool:
    return all(len(i.split()) == 1 and i == i.strip() for i in classes.ids)


def _numeric(classes: Classes) -> bool:
    return any(i.isdigit() for i in classes.ids)
