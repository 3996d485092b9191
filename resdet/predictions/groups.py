"""The groups ``class xmin ymin xmax ymax`` that the development kit's and Kaggle's lines are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from resdet.errors import InputError
from resdet.predictions.loc import MAX_GUESSES, LocPredictions
from resdet.structures import Detections

MISSING = -1


def parse(lines: Sequence[str], places: Sequence[str], labels: Mapping[str, int]) -> LocPredictions:
    """Read a string of groups for each image; what is beyond five groups is cut, as the development kit does.

    Args:
        lines: ``N`` strings of words, five a group.
        places: ``N`` names for error messages, ``file:line``.
        labels: the label each class word stands for; -1 for a word that means no guess.

    Raises:
        InputError: a part of a group, an unknown class, a coordinate that is not a finite number.
    """
    all_labels = np.full((len(lines), MAX_GUESSES), MISSING, dtype=np.int64)
    all_boxes = np.zeros((len(lines), MAX_GUESSES, 4))
    for row, line in enumerate(lines):
        words = line.split()
        if not words:
            continue
        if len(words) % 5:
            raise InputError(f"{places[row]}: wanted groups of 5 (class xmin ymin xmax ymax), got {len(words)} words")
        values = [_numbers(words[i + 1 : i + 5], places[row]) for i in range(0, len(words), 5)][:MAX_GUESSES]
        guesses = [_label(word, labels, places[row]) for word in words[::5]][:MAX_GUESSES]
        all_labels[row, : len(guesses)] = guesses
        all_boxes[row, : len(values)] = values
    _check_finite(all_boxes, places)
    return LocPredictions(all_labels, all_boxes)


def write(classes: Sequence[object], boxes: NDArray[np.int64]) -> str:
    """The groups of one image, in the order given: ``classes`` are words, ``boxes`` ``(n, 4)`` inclusive pixels."""
    groups = zip(classes, boxes.tolist(), strict=True)
    return " ".join(f"{word} {x1} {y1} {x2} {y2}" for word, (x1, y1, x2, y2) in groups)


def first_guesses(detections: Detections) -> Detections:
    """What of one image goes into a file: its first five, in their order."""
    return Detections(*(field[:MAX_GUESSES] for field in (detections.boxes, detections.scores, detections.labels)))


def _label(word: str, labels: Mapping[str, int], place: str) -> int:
    label = labels.get(word)
    if label is None:
        label = labels.get(_whole(word))  # MATLAB writes 490 as 490.00 or 4.9000000e+02
    if label is None:
        raise InputError(f"{place}: class {word!r} is none of the {len(set(labels.values()) - {MISSING})} known")
    return label


def _whole(word: str) -> str:
    try:
        number = float(word)
        return str(int(number)) if number == int(number) else word
    except (ValueError, OverflowError):
        return word


def _numbers(words: Sequence[str], place: str) -> list[float]:
    try:
        return [float("" if "_" in word else word) for word in words]  # Python takes 1_3 for a number, others do not
    except ValueError:
        raise InputError(f"{place}: wanted xmin ymin xmax ymax as numbers, got {' '.join(words)!r}") from None


def _check_finite(boxes: NDArray[np.float64], places: Sequence[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(boxes).all((1, 2)))
    if len(bad):
        raise InputError(f"{places[bad[0]]}: a coordinate is not a finite number")
