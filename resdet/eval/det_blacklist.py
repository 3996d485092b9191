"""Which classes ILSVRC DET's evaluation leaves out of which images."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resdet.data.lists import det_blacklist
from resdet.data.records import Records
from resdet.errors import InputError
from resdet.eval.blacklist import blacklist_lines
from resdet.predictions.numbering import image_numbers

OFFICIAL_IMAGES = 20_121
_OFFICIAL_NAME = re.compile(r"ILSVRC201[0-9]_val_\d{8}")


def left_out(records: Records, choice: str | None = None) -> NDArray[np.int64]:
    """``(P, 2)`` rows of image index and label that do not count, neither true boxes nor detections.

    Args:
        choice: a file of lines ``image_index wnid``; ``none``; or None for the default, which is the official list
            where the records are the whole of DET val, and no list elsewhere.

    Raises:
        InputError: the file is missing, or a line is not such a pair, or names an image or class that is not there.
    """
    if choice == "none" or (choice is None and not _is_whole_val(records)):
        return np.zeros((0, 2), dtype=np.int64)
    listed = det_blacklist() if choice is None else _read(Path(choice), records)
    labels = {class_id: label for label, class_id in enumerate(records.classes.ids)}
    index_of = {number: index for index, number in enumerate(image_numbers(records).tolist())}
    pairs = [(index_of[number], labels[wnid]) for number, wnid in sorted(listed)]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _is_whole_val(records: Records) -> bool:
    if len(records) != OFFICIAL_IMAGES or not all(map(_OFFICIAL_NAME.fullmatch, records.names())):
        return False
    return bool((np.sort(image_numbers(records)) == np.arange(1, OFFICIAL_IMAGES + 1)).all())


def _read(file: Path, records: Records) -> set[tuple[int, str]]:
    numbers, ids = set(image_numbers(records).tolist()), set(records.classes.ids)
    pairs = set()
    for place, line in blacklist_lines(file, "lines 'image_index wnid'"):
        words = line.split()
        if len(words) != 2 or not words[0].isdecimal() or len(words[0]) > 18:
            raise InputError(f"{file}:{place}: wanted 'image_index wnid', got {line!r}")
        if int(words[0]) not in numbers:
            raise InputError(f"{file}:{place}: image {words[0]} is none of the data set's {len(numbers)}")
        if words[1] not in ids:
            raise InputError(f"{file}:{place}: class {words[1]!r} is none of the data set's {len(ids)}")
        pairs.add((int(words[0]), words[1]))
    return pairs
