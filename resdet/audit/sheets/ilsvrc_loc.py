"""ILSVRC CLS-LOC as sheets: its XML files, or Kaggle's CSV."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from resdet.audit.boxes import Frame, as_numbers
from resdet.audit.sheet import Corrections, Marked, Sheet, SheetSet
from resdet.audit.sheets.lists import copy_beside, copy_lists, link
from resdet.audit.sheets.xml_files import read_sheet, write_sheet
from resdet.data.formats.inclusive import read_box
from resdet.data.formats.loc_boxes import solution_rows
from resdet.data.formats.loc_classes import MAPPING, classes_of
from resdet.data.formats.loc_files import LISTS, annotations_of, base_of, files_of, find_beside, folder_of, images_of
from resdet.data.formats.many_files import read_each
from resdet.errors import InputError

FRAME = Frame(first_pixel=0, last_inside=1)


class _Split(NamedTuple):
    base: Path
    name: str
    images: list[tuple[str, str]]  # name and path
    known: frozenset[str]
    every_one: bool  # each image should have an annotation
    listed: bool  # else the images that are there are the split

    @property
    def folder(self) -> Path:
        return annotations_of(self.base, self.name)

    @property
    def solution(self) -> Path | None:
        return find_beside(self.base, f"LOC_{folder_of(self.name)}_solution.csv")


def open_set(root: Path, split: str) -> SheetSet:
    """The images of ``train``, ``train_cls``, ``val`` or ``test``.

    Raises:
        InputError: an unknown split, a missing folder, a list or table that cannot be read.
    """
    if split not in LISTS:
        raise InputError(f"{root}: wanted the split {', '.join(LISTS)}, got {split!r}")
    base = base_of(root)
    classes = classes_of(base, ())  # without a list or class folders: ImageNet's
    listed = [(base / "ImageSets" / "CLS-LOC" / name).is_file() for name in LISTS[split]]
    every_one = split == "val" or (split == "train" and listed[0])
    found = _Split(base, split, images_of(base, split), frozenset(classes.ids), every_one, any(listed))
    count = len(found.images)
    if split == "test":
        return SheetSet(base, FRAME, lambda: (Sheet(path, str(base / path)) for _, path in found.images), count)
    if found.folder.is_dir():
        write = partial(_write_xml, found)
        return SheetSet(base, FRAME, partial(_of_xml, found), count, write, split == "val", scaled=True)
    if found.solution is None:
        raise InputError(
            f"{base}: no boxes of {split}: wanted {found.folder} or {folder_of(split)}'s LOC_*_solution.csv"
        )
    return SheetSet(base, FRAME, partial(_of_csv, found), count, partial(_write_csv, found), split == "val")


def _label(found: _Split, name: str) -> str:
    return "" if found.name == "val" else name.partition("/")[0]


def _xml_files(found: _Split) -> Callable[[str], str]:
    """From an image's name to its annotation's file."""
    flat = files_of(found.folder, (".xml",), found.name) if found.name == "val" else {}
    return lambda name: f"{found.folder}/{flat.get(name, f'{name}.xml')}"


def _of_xml(found: _Split) -> Iterator[Sheet]:
    file_of = _xml_files(found)

    def sheet(image: tuple[str, str]) -> Sheet:
        name, path = image
        file = file_of(name)
        if os.path.exists(file):
            return _named(found, read_sheet(file, path, FRAME, found.known, _label(found, name)))
        wrong = f"{file}: not found, though the image is listed" if found.every_one else ""
        return Sheet(path, file, _label(found, name), wrong=wrong, kind="no-annotation")

    yield from read_each(sheet, found.images)
    if found.every_one or not found.listed:
        named = {name for name, _ in found.images}
        for name in sorted(files_of(found.folder, (".xml",), found.name).keys() - named):
            file = file_of(name)
            yield Sheet("", file, wrong=f"{file}: its image is not among those of {found.name}", kind="no-image")


def _named(found: _Split, sheet: Sheet) -> Sheet:
    """Val takes an image's class from its boxes; in train a box of no class is of the image's."""
    if found.name != "val":
        return sheet._replace(objects=tuple(_own(marked, sheet.label) for marked in sheet.objects))
    names = list(dict.fromkeys(o.name for o in sheet.objects))
    if sheet.wrong:
        return sheet
    if len(names) == 1:
        return sheet._replace(label=names[0])
    return sheet._replace(wrong=f"{sheet.place}: wanted boxes of one class, got {' and '.join(names) or 'none'}")


def _own(marked: Marked, label: str) -> Marked:
    return marked._replace(name=label, wrong="", unknown=False) if marked.unknown and marked.sides else marked


def _of_csv(found: _Split) -> Iterator[Sheet]:
    assert found.solution is not None
    rows = solution_rows(found.solution)
    for name, path in found.images:
        line, text = rows.pop(name.rpartition("/")[2], (0, ""))
        place = f"{found.solution}:{line}" if line else f"{found.solution}: {name}"
        if line:
            yield _named(found, _row(found, path, place, text, _label(found, name)))
        else:
            wrong = f"{place}: no row, though the image is listed" if found.every_one else ""
            yield Sheet(path, place, _label(found, name), wrong=wrong, kind="no-annotation")
    for name, (line, _) in rows.items():
        place = f"{found.solution}:{line}"
        if found.every_one:
            yield Sheet("", place, wrong=f"{place}: {name!r} is not among the images of {found.name}", kind="no-image")


def _row(found: _Split, path: str, place: str, text: str, label: str) -> Sheet:
    words = text.split()
    wrong = f"{place}: wanted groups of 'class xmin ymin xmax ymax', got {len(words)} words" if len(words) % 5 else ""
    objects = tuple(_marked(found, words[i : i + 5], f"{place}: object {i // 5 + 1}") for i in range(0, len(words), 5))
    return Sheet(path, place, label, (0, 0), objects, wrong)


def _marked(found: _Split, words: list[str], place: str) -> Marked:
    wrong = "" if words[0] in found.known else f"{place}: class {words[0]!r} is not in the class list"
    try:
        read_box(words[1:], place, FRAME.first_pixel)
    except InputError as error:
        wrong = str(error)
    return Marked(place, words[0], as_numbers(words[1:]), wrong, words[0] not in found.known)


def _write_xml(found: _Split, folder: Path, corrections: Corrections) -> None:
    file_of, left_out = _xml_files(found), set()
    for name, _ in found.images:
        file = file_of(name)
        correction = corrections.get(file)
        if correction and correction.leave_out:
            left_out.add(name)
        elif os.path.exists(file):
            write_sheet(Path(file), folder / Path(file).relative_to(found.base), correction, FRAME)
    _write_beside(found, folder, left_out)


def _write_csv(found: _Split, folder: Path, corrections: Corrections) -> None:
    assert found.solution is not None
    rows = {f"{found.solution}:{line}": name for name, (line, _) in solution_rows(found.solution).items()}
    listed = {path: name for name, path in found.images}  # as lists name them: the rows lack a train image's folder
    left_out, lines = set(), ["ImageId,PredictionString\n"]
    for sheet in _of_csv(found):
        correction = corrections.get(sheet.place)
        if not sheet.image:
            continue
        if correction and correction.leave_out:
            left_out.add(listed[sheet.image])
        elif sheet.place in rows:
            boxes = correction.boxes if correction else [o.sides and FRAME.box(o.sides) for o in sheet.objects]
            kept = [(o.name, FRAME.sides(box)) for o, box in zip(sheet.objects, boxes, strict=True) if box]
            groups = " ".join(f"{name} {' '.join(f'{side:.10g}' for side in sides)}" for name, sides in kept)
            lines.append(f"{rows[sheet.place]},{groups}\n")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / found.solution.name).write_text("".join(lines), encoding="utf-8")
    _write_beside(found, folder, left_out)


def _write_beside(found: _Split, folder: Path, left_out: set[str]) -> None:
    copy_lists(found.base, folder, "ImageSets/CLS-LOC", left_out)
    if mapping := find_beside(found.base, MAPPING):
        copy_beside(mapping.parent, folder, MAPPING)
    link(found.base / "Data", folder / "Data")
