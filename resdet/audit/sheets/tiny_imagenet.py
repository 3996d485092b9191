"""Tiny-ImageNet as sheets: a table of boxes a class for train, one table for val."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from resdet.audit.boxes import Frame, as_numbers
from resdet.audit.sheet import Corrections, Marked, Sheet, SheetSet
from resdet.audit.sheets.lists import copy_beside, link
from resdet.data.formats.inclusive import read_box
from resdet.data.formats.tiny_imagenet import classes_of, lines_of, words_of
from resdet.errors import InputError

FRAME = Frame(first_pixel=0, last_inside=1)
TRAIN, VAL = "name x1 y1 x2 y2", "name class x1 y1 x2 y2"  # a line of each table


def open_set(root: Path, split: str) -> SheetSet:
    """The rows of ``train`` or ``val``, and the images that no row names.

    Raises:
        InputError: another split, or a list of classes that cannot be read.
    """
    if split not in ("train", "val"):
        raise InputError(f"tiny-imagenet has the splits train and val, got {split!r}")
    ids = classes_of(root).ids
    tables = [(f"train/{wnid}/{wnid}_boxes.txt", wnid) for wnid in ids]
    if split == "val":
        tables = [("val/val_annotations.txt", "")]
    return SheetSet(
        root, FRAME, partial(_sheets, root, tables, frozenset(ids)), None, partial(_write, root, tables), needs_box=True
    )


def _sheets(root: Path, tables: list[tuple[str, str]], known: frozenset[str]) -> Iterator[Sheet]:
    for table, wnid in tables:
        folder = f"{table.rpartition('/')[0]}/images"
        there = {p.name for p in (root / folder).iterdir()} if (root / folder).is_dir() else set()
        try:
            lines = lines_of(root / table)
        except InputError as error:
            yield Sheet("", str(root / table), wrong=str(error))
            lines = []
        for number, line in lines:
            sheet = _row(line, f"{root / table}:{number}", folder, wnid, known)
            there.discard(sheet.image.rpartition("/")[2])
            yield sheet
        for name in sorted(there):
            wrong = f"{root / folder / name}: no row of {root / table} names it"
            yield Sheet(f"{folder}/{name}", str(root / folder / name), wnid, wrong=wrong, kind="no-annotation")


def _row(line: str, place: str, folder: str, wnid: str, known: frozenset[str]) -> Sheet:
    try:
        name, *words = words_of(line, place, TRAIN if wnid else VAL)
    except InputError as error:
        return Sheet("", place, wrong=str(error))
    label = wnid or words.pop(0)
    wrong = "" if label in known else f"{place}: class {label!r} is not in wnids.txt"
    try:
        read_box(words, place, FRAME.first_pixel)
    except InputError as error:
        wrong = str(error)
    marked = Marked(place, label, as_numbers(words), wrong, label not in known)
    return Sheet(f"{folder}/{name}", place, label, objects=(marked,))


def _write(root: Path, tables: list[tuple[str, str]], folder: Path, corrections: Corrections) -> None:
    """An image is left out where its only box is."""
    for table, wnid in tables:
        rows = []
        for number, line in lines_of(root / table):
            correction = corrections.get(f"{root / table}:{number}")
            if correction is None:
                rows.append(f"{line}\n")
            elif not correction.leave_out and correction.boxes[0]:
                kept = line.split()[: 1 if wnid else 2]
                sides = (f"{side:.10g}" for side in FRAME.sides(correction.boxes[0]))
                rows.append("\t".join([*kept, *sides]) + "\n")
        (folder / table).parent.mkdir(parents=True, exist_ok=True)
        (folder / table).write_text("".join(rows), encoding="utf-8")
        images = f"{table.rpartition('/')[0]}/images"
        link(root / images, folder / images)
    copy_beside(root, folder, "wnids.txt", "words.txt")
