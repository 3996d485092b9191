"""COCO: a folder of images, and one json file with all of their boxes as ``x, y, width, height``, without "+1".

The split of a spec is that file: ``coco:IMAGES:instances.json``.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resdet.data.formats.coco_json import load, real_number, rows_of, told, whole_number
from resdet.data.formats.inclusive import FARTHEST
from resdet.data.formats.named_files import above, find_file, inside
from resdet.data.records import NO_NUMBER, Classes, Record, Records, pack
from resdet.errors import InputError


class _Boxes(NamedTuple):
    """Every box of the file, image by image, those of one image in the file's order."""

    xyxy: np.ndarray  # (M, 4) float32
    labels: np.ndarray  # (M,) int64
    ignored: np.ndarray  # (M,) bool
    areas: np.ndarray  # (M,) float32
    ends: np.ndarray  # (N,) int64: where each image's end


def read(root: Path, split: str) -> Records:
    """Read an annotation file of the "instances" kind; ``root`` is the folder of the images, which may lack.

    ``split`` is absolute, or looked for in ``root``, beside it, in ``annotations`` beside it, and in the working
    directory.  Images come in the file's order, those without annotations too; a file without ``annotations``, as for
    COCO's test images, has no boxes.  Labels follow the category ids.  Crowds and boxes of no area are marked ignored.

    Raises:
        InputError: no such file, or not such json; a category, image or annotation that is not as it should be, named
            by its id: ids or category names that occur twice, an annotation of an unknown image or category, a box
            that is not four numbers or has a negative side, a file name that leaves the folder.
    """
    file = annotation_file(root, split)
    content = load(file)
    classes = classes_of(rows_of(content, "categories", file), file)
    labels = {number: label for label, number in enumerate(classes.numbers)}
    images = rows_of(content, "images", file)
    numbers = _numbers(images, "image", file)
    if NO_NUMBER in numbers:
        raise InputError(f"{file}: an image has the id {NO_NUMBER}, which stands for none here: wanted another")
    boxes = _boxes(rows_of(content, "annotations", file, optional=True), numbers, labels, file)
    return pack(root, classes, _records(images, numbers, boxes, file))


def annotation_file(root: Path, split: str) -> Path:
    """Where the file of a spec lies.

    Raises:
        InputError: in none of the places.
    """
    beside = above(root)
    return find_file(split, (root, beside, beside / "annotations", Path()), "annotation file")


def classes_of(categories: list[Any], file: Path) -> Classes:
    """The classes in the order of their ids."""
    numbers = _numbers(categories, "category", file)
    names: dict[str, int] = {}
    for number in sorted(numbers):
        written = categories[numbers[number]].get("name")
        place = f"{file}: category {number}"
        if not isinstance(written, str) or not (name := written.strip()) or not name.isprintable():
            raise InputError(f"{place}: wanted a name, got {told(written)}")
        if name in names:
            raise InputError(f"{place}: category {names[name]} is named {name!r} too")
        names[name] = number
    return Classes(tuple(names), tuple(names), tuple(names.values()))


def _numbers(rows: list[Any], kind: str, file: Path) -> dict[int, int]:
    """From the id of each category or image to its place in the list."""
    places: dict[int, int] = {}
    for place, row in enumerate(rows):
        number = whole_number(row.get("id"), f"{file}: {kind} number {place + 1}: id")
        if number in places:
            raise InputError(f"{file}: {kind} {number} is listed twice")
        places[number] = place
    return places


def _boxes(annotations: list[Any], images: Mapping[int, int], labels: Mapping[int, int], file: Path) -> _Boxes:
    # array.array: lists of Python numbers would take several times the memory
    at, xywh, label, crowd, areas = array("q"), array("d"), array("q"), bytearray(), array("f")
    for count, row in enumerate(annotations, 1):
        place = f"{file}: annotation {told(row['id']) if 'id' in row else f'number {count}'}"
        at.append(_known(row, "image_id", images, place))
        label.append(_known(row, "category_id", labels, place))
        xywh.extend(_box(row.get("bbox"), place))
        crowd.append(_flag(row.get("iscrowd"), place))
        area = row.get("area")
        areas.append(-1.0 if area is None else real_number(area, f"{place}: area", FARTHEST**2))
    x, y, width, height = np.frombuffer(xywh).reshape(-1, 4).T
    corners = np.stack((x, y, x + width, y + height), 1).astype(np.float32)
    ignored = np.frombuffer(crowd, dtype=np.bool_) | (corners[:, 2:] <= corners[:, :2]).any(1)
    image = np.frombuffer(at, dtype=np.int64)
    order = np.argsort(image, kind="stable")
    ends = np.bincount(image, minlength=len(images)).cumsum()
    given_labels, given_areas = np.frombuffer(label, dtype=np.int64), np.frombuffer(areas, dtype=np.float32)
    return _Boxes(corners[order], given_labels[order], ignored[order], given_areas[order], ends)


def _known(row: Mapping[str, Any], key: str, known: Mapping[int, int], place: str) -> int:
    number = whole_number(row.get(key), f"{place}: {key}")
    if number not in known:
        kind = "images" if key == "image_id" else "categories"
        raise InputError(f"{place}: {key} {number} is not among the {len(known)} {kind} of the file")
    return known[number]


def _box(box: object, place: str) -> list[float]:
    if not isinstance(box, list) or len(box) != 4:
        raise InputError(f"{place}: wanted bbox [x, y, width, height], got {told(box)}")
    sides = [real_number(side, f"{place}: bbox") for side in box]
    if min(sides[2:]) < 0:
        raise InputError(f"{place}: wanted bbox [x, y, width, height], got a negative side in {told(box)}")
    return sides


def _flag(value: object, place: str) -> bool:
    if value not in (None, 0, 1):
        raise InputError(f"{place}: wanted iscrowd 0 or 1, got {told(value)}")
    return bool(value)


def _records(images: list[Any], numbers: Mapping[int, int], boxes: _Boxes, file: Path) -> Iterator[Record]:
    start = 0
    for (number, place), end in zip(numbers.items(), boxes.ends.tolist(), strict=True):
        row, where = images[place], f"{file}: image {number}"
        name = row.get("file_name")
        if not isinstance(name, str):
            raise InputError(f"{where}: wanted a file_name, got {told(name)}")
        xyxy, labels, ignored, areas = (column[start:end].tolist() for column in boxes[:4])
        yield Record(inside(name, where), -1, xyxy, labels, ignored, size_of(row, where), number, areas)
        start = end


def size_of(row: Mapping[str, Any], place: str) -> tuple[int, int]:
    """Width and height of an image, pixels; both 0 where one of them is not said."""
    width, height = (_side(row, side, place) for side in ("width", "height"))
    return (width, height) if width and height else (0, 0)


def _side(row: Mapping[str, Any], side: str, place: str) -> int:
    pixels = whole_number(row.get(side, 0), f"{place}: {side}")
    if not 0 <= pixels <= FARTHEST:
        raise InputError(f"{place}: {side}: wanted pixels, got {pixels}")
    return pixels
