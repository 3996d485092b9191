"""COCO's json as sheets."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from resdet.audit.boxes import Frame, as_numbers
from resdet.audit.findings import Box
from resdet.audit.sheet import Corrections, Marked, Sheet, SheetSet
from resdet.data.formats.coco import annotation_file, classes_of, size_of
from resdet.data.formats.coco_json import load, real_number, rows_of, told, whole_number
from resdet.data.formats.named_files import inside
from resdet.data.image_files import ENDINGS
from resdet.errors import InputError

FRAME = Frame(first_pixel=0, last_inside=0)


def open_set(root: Path, split: str) -> SheetSet:
    """The images of the annotation file ``split``, and those in their folders that it does not name.

    Raises:
        InputError: no such file, no such json, or categories that are not as they should be.
    """
    file = annotation_file(root, split)
    content = load(file)
    classes = classes_of(rows_of(content, "categories", file), file)
    names = dict(zip(classes.numbers, classes.names, strict=True))
    count = len(rows_of(content, "images", file))
    rows_of(content, "annotations", file, optional=True)
    return SheetSet(root, FRAME, partial(_sheets, root, file, content, names), count, partial(_write, file))


def _sheets(root: Path, file: Path, content: dict[str, Any], names: dict[int, str]) -> Iterator[Sheet]:
    objects, orphans = _grouped(content, file)
    named: set[str] = set()
    numbers: set[int] = set()
    for count, row in enumerate(content["images"], 1):
        place = f"{file}: image {told(row['id']) if 'id' in row else f'number {count}'}"
        try:
            number, image, size = _image(row, place)
        except InputError as error:
            yield Sheet("", f"{place} ({count})", wrong=str(error))
            continue
        named.add(image)
        if number in numbers:
            yield Sheet("", f"{place} ({count})", wrong=f"{place} is listed twice, the second time as {image}")
            continue
        numbers.add(number)
        marked = tuple(_marked(content["annotations"][at], at, file, names) for at in objects.pop(number, ()))
        yield Sheet(image, place, size=size, objects=marked)
    for number, rows in objects.items():
        for at in rows:
            place = _place(content["annotations"][at], at, file)
            wrong = f"{place}: image_id {number} is not among the images of the file"
            yield Sheet("", place, wrong=wrong, kind="no-image")
    yield from (Sheet("", f"{wrong} ", wrong=wrong) for wrong in orphans)
    yield from _not_named(root, file, named)


def _image(row: dict[str, Any], place: str) -> tuple[int, str, tuple[int, int]]:
    """An image's id, file name and size."""
    name = row.get("file_name")
    if not isinstance(name, str):
        raise InputError(f"{place}: wanted a file_name, got {told(name)}")
    return whole_number(row.get("id"), f"{place}: id"), inside(name, place), size_of(row, place)


def _grouped(content: dict[str, Any], file: Path) -> tuple[defaultdict[int, list[int]], list[str]]:
    """The places of each image's annotations in their list, and what is wrong with those that name no image."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    orphans = []
    for at, row in enumerate(content.get("annotations", [])):
        try:
            number = whole_number(row.get("image_id"), f"{_place(row, at, file)}: image_id")
            groups[number].append(at)
        except InputError as error:
            orphans.append(str(error))
    return groups, orphans


def _place(row: dict[str, Any], at: int, file: Path) -> str:
    return f"{file}: annotation {told(row['id']) if 'id' in row else f'number {at + 1}'}"


def _marked(row: dict[str, Any], at: int, file: Path, names: dict[int, str]) -> Marked:
    place, category, box = _place(row, at, file), row.get("category_id"), row.get("bbox")
    number = category if isinstance(category, int | float) and category in names else None
    wrong = "" if number is not None else f"{place}: category_id {told(category)} is not among the categories"
    sides: Box | None = None
    try:
        if not isinstance(box, list) or len(box) != 4:
            raise InputError(f"{place}: wanted bbox [x, y, width, height], got {told(box)}")
        x, y, width, height = (real_number(side, f"{place}: bbox") for side in box)
        sides = as_numbers((x, y, x + width, y + height))
    except InputError as error:
        wrong = str(error)
    name = told(category) if number is None else names[number]  # type: ignore[index]
    return Marked(place, name, sides, wrong, number is None, row.get("iscrowd") in (1, True))


def _not_named(root: Path, file: Path, named: set[str]) -> Iterator[Sheet]:
    """The images in the named ones' folders, but not in the file."""
    for folder in sorted({os.path.dirname(name) for name in named}):
        there = os.listdir(root / folder) if (root / folder).is_dir() else []
        for name in sorted(os.path.join(folder, name) for name in there if name.lower().endswith(ENDINGS)):
            if name not in named:
                wrong = f"{root / name}: not among the images of {file}"
                yield Sheet(name, str(root / name), wrong=wrong, kind="no-annotation")


def _write(file: Path, folder: Path, corrections: Corrections) -> None:
    """The whole file, outlines and captions too, with corrected boxes and without what cannot be used."""
    content = json.loads(file.read_text(encoding="utf-8-sig"))
    content["images"], annotations = _corrected(content, file, corrections)
    if "annotations" in content:
        content["annotations"] = annotations
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file.name).write_text(json.dumps(content), encoding="utf-8")


def _corrected(
    content: dict[str, Any], file: Path, corrections: Corrections
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The images and the annotations that stay, each in its order.

    Of several images of one id the first stays, with all annotations of that id.  Of several of one file the first
    stays too, with the annotations of all.
    """
    groups, _ = _grouped(content, file)
    images, kept = [], {}  # annotations by their place in the file
    stays: dict[str, int] = {}  # the id that each file's annotations get
    for row, place, number, name in _first_of_each_id(content, file):
        correction = corrections.get(place)
        if name not in stays:
            if correction and correction.leave_out:
                continue
            stays[name] = number
            images.append(row)
            if correction and min(correction.size) > 0:
                row["width"], row["height"] = correction.size
        for which, at in enumerate(groups[number]):
            annotation = {**content["annotations"][at], "image_id": stays[name]}
            if not correction:
                kept[at] = annotation
            elif (box := correction.boxes[which]) is not None:
                kept[at] = _with_box(annotation, box)
    return images, [kept[at] for at in sorted(kept)]


def _first_of_each_id(content: dict[str, Any], file: Path) -> Iterator[tuple[dict[str, Any], str, int, str]]:
    """The rows of images that can be used, each with its place, as its sheet has it, its id and its file's name."""
    numbers: set[int] = set()
    for row in content["images"]:
        place = f"{file}: image {told(row.get('id'))}"
        try:
            number, name, _ = _image(row, place)
        except InputError:
            continue
        if number not in numbers:
            numbers.add(number)
            yield row, place, number, name


def _with_box(annotation: dict[str, Any], box: Box) -> dict[str, Any]:
    """The annotation with another box; its area, by which COCO tells small objects, is no larger than that then."""
    x1, y1, x2, y2 = box
    sides = [round(side, 4) for side in (x1, y1, x2 - x1, y2 - y1)]
    area = annotation.get("area")
    if isinstance(area, int | float) and sides != [round(side, 4) for side in annotation["bbox"]]:
        return {**annotation, "bbox": sides, "area": min(area, round(sides[2] * sides[3], 4))}
    return {**annotation, "bbox": sides}
