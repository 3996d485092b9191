"""COCO's results: one JSON list of ``{"image_id", "category_id", "bbox": [x, y, width, height], "score"}``.

Boxes are continuous pixels: a far edge is ``x + width``.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resdet.data.records import Records
from resdet.errors import InputError
from resdet.predictions.det import DECIMALS, DetPredictions, predictions
from resdet.predictions.jsonl import is_number
from resdet.predictions.match import finder, image_names
from resdet.predictions.numbering import class_numbers, image_numbers

IMAGES_FILE = "images.json"  # what the numbers of a file mean, where tools/infer.py wrote it
_SPACE = re.compile(r"[ \t\r\n]*")


def read(file: Path, text: str, records: Records) -> DetPredictions:
    """Read a file's ``text``.

    Images and classes go by their numbers, see :mod:`.numbering`; by those of ``images.json``, matched by names, where
    that lies beside the file: ``tools/infer.py``, which knows no data set, counts images and classes by itself.

    Raises:
        InputError: not such a list, or an image or a category that the data set does not have; two images of
            ``images.json`` that are one of the data set's.
    """
    image_of, label_of = _numbers(file.with_name(IMAGES_FILE), records)
    images, labels, scores, boxes = [], [], [], []
    for number, entry in enumerate(_entries(file, text), 1):
        place = f"{file}: result {number}"
        if not isinstance(entry, dict):
            raise InputError(f"{place}: wanted an object with image_id, category_id, bbox and score")
        images.append(_known(entry, "image_id", image_of, place))
        labels.append(_known(entry, "category_id", label_of, place))
        box, score = entry.get("bbox"), entry.get("score")
        if not is_number(score):
            raise InputError(f"{place}: wanted 'score' as a number, got {reprlib.repr(score)}")
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
            raise InputError(f"{place}: wanted 'bbox' as [x, y, width, height], got {reprlib.repr(box)}")
        scores.append(score)
        boxes.extend(box)
    xywh = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return predictions(images, labels, scores, np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1))


def format_entries(found: DetPredictions, images: NDArray[np.int64], classes: NDArray[np.int64]) -> list[str]:
    """Each detection as JSON text, in order; a file is ``[`` and them with commas between, and ``]``.

    Args:
        images, classes: the numbers of the data set's images and classes, see :mod:`.numbering`.
    """
    xywh = np.concatenate((found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]), axis=1)
    boxes = np.round(xywh, DECIMALS).tolist()
    rows = zip(images[found.images].tolist(), classes[found.labels].tolist(), found.scores.tolist(), boxes, strict=True)
    return [
        f'{{"image_id": {image}, "category_id": {label}, "bbox": {json.dumps(box)}, "score": {score:.9g}}}'
        for image, label, score, box in rows
    ]


def _numbers(beside: Path, records: Records) -> tuple[dict[int, int], dict[int, int]]:
    """The image's index and the label that each number means."""
    image_of = {number: index for index, number in enumerate(image_numbers(records).tolist())}
    label_of = {number: label for label, number in enumerate(class_numbers(records.classes).tolist())}
    classes, find = records.classes.names, finder(image_names(records), of_files=True)
    try:
        told = json.loads(beside.read_text(encoding="utf-8", errors="surrogateescape"))
        named = {row["id"]: find(row["file_name"]) for row in told["images"]}
        called = {row["id"]: str(row["name"]) for row in told["categories"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # there is none, or it is something else
        return image_of, label_of
    image_of = {number: index for number, index in named.items() if index is not None}
    if len(set(image_of.values())) < len(image_of):
        index, times = Counter(image_of.values()).most_common(1)[0]
        first = image_names(records).files[index]
        raise InputError(f"{beside}: {times} of its images are {first!r} of the data set: which of them is not told")
    if len(set(classes)) == len(classes):
        label = {name: place for place, name in enumerate(classes)}
        label_of = {number: label[name] for number, name in called.items() if name in label}
    return image_of, label_of


def _entries(file: Path, text: str) -> Iterator[object]:
    """Each element of the list, one at a time: a million of them at once would take a gigabyte."""
    decoder = json.JSONDecoder()
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise InputError(f"{file}: wanted a JSON list of results, it begins with {text[at : at + 20]!r}")
    at = _skip(text, at + 1)
    for number in count(1):
        if number == 1 and text[at : at + 1] == "]":
            break
        try:
            entry, at = decoder.raw_decode(text, at)
        except RecursionError:
            raise InputError(f"{file}: result {number}: nested too deep") from None
        except ValueError as error:  # a number of thousands of digits is one too
            raise InputError(f"{file}: result {number}: not JSON: {error}") from None
        yield entry
        at = _skip(text, at)
        if text[at : at + 1] == "]":
            break
        if text[at : at + 1] != ",":
            there = text[at : at + 20]
            raise InputError(f"{file}: after result {number}: wanted a comma or the list's end, got {there!r}")
        at = _skip(text, at + 1)
    if _skip(text, at + 1) < len(text):
        raise InputError(f"{file}: something comes after the list's end")


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _known(entry: dict, key: str, known: dict[int, int], place: str) -> int:
    number = entry.get(key)
    if not isinstance(number, int | float) or isinstance(number, bool):
        raise InputError(f"{place}: wanted {key!r} as a number, got {reprlib.repr(number)}")
    if number not in known:
        raise InputError(f"{place}: {key} {reprlib.repr(number)} is none of the data set's {len(known)}")
    return known[number]  # type: ignore[index]  # 5.0 is found as 5 is
