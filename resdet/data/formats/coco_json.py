"""COCO's json, as much of it as boxes need, and what its values must be."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

from resdet.data.formats.inclusive import FARTHEST
from resdet.errors import InputError

# What is kept of the file's objects: outlines, captions and addresses are most of it, and would be most of the memory.
KEPT = {
    "categories": ("id", "name"),
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox", "iscrowd", "area"),
}
LARGEST_FILE = 4 * 2**30  # bytes; COCO's own of 118,287 images have 0.45 * 2**30
_KEYS = {*KEPT, *(key for keys in KEPT.values() for key in keys)}


def load(file: Path) -> dict[str, Any]:
    """The file's object; of the objects in it, only the keys of :data:`KEPT`.

    Raises:
        InputError: it cannot be read, is no json, is nested too deeply or larger than :data:`LARGEST_FILE`, or is a
            list: results, not annotations.
    """
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise InputError(f"{file}: larger than {LARGEST_FILE >> 30} GiB, which no annotation file is")
        with open(file, encoding="utf-8-sig") as opened:
            content = json.load(opened, object_hook=_kept)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; wanted COCO's json") from None
    except (ValueError, RecursionError) as error:  # no json, not UTF-8, a number of 5000 digits
        raise InputError(f"{file}: wanted COCO's json: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: wanted an object with {', '.join(KEPT)}, got a {type(content).__name__}")
    return content


def _kept(item: dict[str, Any]) -> dict[str, Any]:
    return {key: item[key] for key in item.keys() & _KEYS}


def rows_of(content: dict[str, Any], key: str, file: Path, *, optional: bool = False) -> list[Any]:
    """The list of objects under a key; none where it may lack and does.

    Raises:
        InputError: it lacks, or is no list, or something in it is no object.
    """
    rows = content.get(key, [] if optional else None)
    if not isinstance(rows, list):
        raise InputError(f"{file}: wanted a list of {key}, got {told(rows)}")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InputError(f"{file}: {key}: number {number}: wanted an object, got {told(row)}")
    return rows


def whole_number(value: object, place: str) -> int:
    """An int64, also where it is written ``5.0``.

    Raises:
        InputError: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not -(2**63) <= value < 2**63 or value % 1:
        raise InputError(f"{place}: wanted a whole number, got {told(value)}")
    return int(value)


def real_number(value: object, place: str, most: float = FARTHEST) -> float:
    """A number of pixels.

    Raises:
        InputError: anything else, or one beyond ``most`` either way.
    """
    # "not <=": NaN is refused too, and a whole number too long to become a float
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= most:
        raise InputError(f"{place}: wanted a number of pixels, got {told(value)}")
    return float(value)


def told(value: object) -> str:
    """A value for a message, in one line, cut where it is long."""
    return "none" if value is None else reprlib.repr(value)
