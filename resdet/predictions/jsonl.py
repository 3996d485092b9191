"""Our own form: one JSON object an image, with its size, its detections and, where it failed, its error.

``{"file", "width", "height", "detections": [{"label", "name", "score", "box": [x1, y1, x2, y2]}], "error": null}``;
labels from 0, boxes in continuous pixels of the upright image, detections in the order they rank.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray

from resdet.data.drawn import same_shape
from resdet.data.records import Classes, Records
from resdet.errors import InputError
from resdet.predictions.groups import MISSING
from resdet.predictions.loc import MAX_GUESSES, LocPredictions, to_inclusive
from resdet.predictions.match import by_name, reorder
from resdet.structures import Detections

LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class ImageResult:
    """What was found in one image, or why it could not be read."""

    file: str
    width: int | None  # pixels; None where the image could not be read
    height: int | None
    detections: Detections
    error: str | None = None  # why there are no detections, in one line

    def __post_init__(self) -> None:
        found = self.detections
        if not (found.boxes.isfinite().all() and found.scores.isfinite().all()):
            raise not_finite(self.file)


def not_finite(file: str) -> FloatingPointError:
    """The error of an image in which a network has found a score or a box that is not finite."""
    return FloatingPointError(
        f"{file}: a score or a box found in it is not finite: the network has diverged, or overflows in "
        "its train.precision"
    )


def failed(file: str, error: str) -> ImageResult:
    """The result of an image that could not be read."""
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    return ImageResult(file, None, None, nothing, error)


def format_line(result: ImageResult, names: Sequence[str]) -> str:
    """One image's line, with its newline; ``names`` are the classes' names by label."""
    found = result.detections
    rows = zip(found.labels.tolist(), found.scores.numpy(), found.boxes.numpy(), strict=True)
    detections = [
        {"label": label, "name": names[label], "score": _short(score), "box": [_short(edge) for edge in box]}
        for label, score, box in rows
    ]
    entry = {"file": result.file, "width": result.width, "height": result.height}
    line = entry | {"detections": detections, "error": result.error}
    return json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"


def results(file: Path, text: str, classes: Classes) -> Iterator[tuple[str, ImageResult]]:
    """Each line of a file's ``text`` as its place, ``file:line``, and what it says.

    Raises:
        InputError: a line that is not such an object, or a label that is not a class, or is another class here.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            place = f"{file}:{number}"
            yield place, _result(line, place, classes)


def read(file: Path, text: str, records: Records) -> LocPredictions:
    """Read a file's ``text`` as localizations: the first five detections of each image, matched by file name.

    An image with an error has no guess.  Boxes of an image that has been scaled since it was annotated are scaled back,
    as :mod:`resdet.data.drawn` scales such images.

    Raises:
        InputError: a malformed line, an image without a line, or twice, or unknown, or found in at another shape than
            its annotation's.
    """
    lines = text.count("\n") + 1
    labels = np.full((lines, MAX_GUESSES), MISSING, dtype=np.int64)
    boxes = np.zeros((lines, MAX_GUESSES, 4), dtype=np.float32)
    sizes = np.ones((lines, 2), dtype=np.int64)  # 1 x 1 where the image could not be read: there are no boxes
    names, places = [], []
    for row, (place, result) in enumerate(results(file, text, records.classes)):
        names.append(result.file)
        places.append(place)
        sizes[row] = result.width or 1, result.height or 1
        count = min(len(result.detections), MAX_GUESSES)
        labels[row, :count] = result.detections.labels[:count].numpy()
        boxes[row, :count] = result.detections.boxes[:count].numpy()
    images = by_name(records, names, places, file, of_files=True)
    given = slice(len(names))
    drawn = _drawn_sizes(sizes[given], labels[given, 0] >= 0, records.sizes.numpy()[images], places)
    scaled = boxes[given] * np.tile(drawn / sizes[given], 2)[:, None]
    pixels = to_inclusive(scaled, drawn[:, None, 0], drawn[:, None, 1]).astype(np.float64)
    return reorder(LocPredictions(labels[given], pixels), images)


def _drawn_sizes(
    sizes: NDArray[np.int64], guessed: NDArray[np.bool_], annotated: NDArray[np.int32], places: Sequence[str]
) -> NDArray[np.int64]:
    """``(N, 2)``: width and height of each image by its annotation; where that says none, by the file's line."""
    drawn = np.where((annotated > 0).all(1, keepdims=True), annotated, sizes)
    for row in np.flatnonzero(guessed & (drawn != sizes).any(1)):
        if not same_shape(sizes[row], drawn[row]):
            raise other_size(places[row], sizes[row], drawn[row])
    return drawn


def other_size(place: str, size: Sequence[int], annotated: Sequence[int]) -> InputError:
    """What to raise of boxes found in an image that is not as large as the one that was annotated."""
    turned = " (it may have been drawn on before EXIF turned it)" if tuple(size) == tuple(annotated)[::-1] else ""
    return InputError(
        f"{place}: the image is {size[0]} x {size[1]} pixels there, {annotated[0]} x {annotated[1]} by its "
        f"annotation{turned}: its boxes would be in wrong places"
    )


def _short(value: np.float32) -> float:
    """The shortest decimal that is this float32: 12.34 rather than 12.34000015258789."""
    return float(str(value))


def _result(line: str, place: str, classes: Classes) -> ImageResult:
    try:
        entry = json.loads(line)
    except RecursionError:
        raise InputError(f"{place}: not JSON of ours: nested too deep") from None
    except ValueError as error:  # a number of thousands of digits is one too
        raise InputError(f"{place}: not JSON: {error}") from None
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise InputError(f"{place}: wanted an object with 'file'")
    if entry.get("error") is not None:
        return failed(entry["file"], str(entry["error"]))
    width, height, found = (entry.get(key) for key in ("width", "height", "detections"))
    if not all(type(size) is int and 0 < size < 2**31 for size in (width, height)):
        raise InputError(f"{place}: wanted 'width' and 'height' in whole pixels, got {width!r} and {height!r}")
    if not isinstance(found, list):
        raise InputError(f"{place}: wanted 'detections' as a list, got {found!r}")
    rows = [_detection(row, f"{place}: detection {number}", classes) for number, row in enumerate(found, 1)]
    boxes = torch.tensor([box for box, _, _ in rows], dtype=torch.float32).reshape(-1, 4)
    scores = torch.tensor([score for _, score, _ in rows], dtype=torch.float32)
    labels = torch.tensor([label for _, _, label in rows], dtype=torch.int64)
    return ImageResult(entry["file"], width, height, Detections(boxes, scores, labels))


def _detection(row: object, place: str, classes: Classes) -> tuple[list[float], float, int]:
    if not isinstance(row, dict):
        raise InputError(f"{place}: wanted an object with label, score and box, got {row!r}")
    label, name, score, box = (row.get(key) for key in ("label", "name", "score", "box"))
    if type(label) is not int or not 0 <= label < len(classes):
        raise InputError(f"{place}: wanted a label 0 .. {len(classes) - 1}, got {label!r}")
    _check_name(label, name, place, classes)
    if not is_number(score):
        raise InputError(f"{place}: wanted a score, got {score!r}")
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        raise InputError(f"{place}: wanted a box [x1, y1, x2, y2], got {box!r}")
    return [float(edge) for edge in box], float(score), label


def _check_name(label: int, name: object, place: str, classes: Classes) -> None:
    """A name may be spelt otherwise in another list of the classes, but must not be another class of this one."""
    if name in (None, classes.names[label], classes.ids[label]):
        return
    if name in classes.names or name in classes.ids:
        raise InputError(f"{place}: label {label} is {name!r} there, but {classes.names[label]!r} in the data set")


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value out of JSON is a number, and one that float32 holds: not NaN, not infinite, not 1e300."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
