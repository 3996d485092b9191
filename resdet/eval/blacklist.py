"""Which images the localization error leaves out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resdet.data.lists import clsloc_blacklist
from resdet.data.records import Records
from resdet.errors import InputError
from resdet.predictions.match import alphabetical, image_names

OFFICIAL_IMAGES = 50_000
_OFFICIAL_NAME = re.compile(r"ILSVRC2012_val_(\d{8})")


def blacklisted(records: Records, choice: str | None = None) -> NDArray[np.bool_]:
    """``(N,)``: the images that do not count.

    An image's number is the one in its name where all are named ``ILSVRC2012_val_%08d``; elsewhere its place,
    from 1, in alphabetical order.

    Args:
        choice: a file of image numbers, one a line; ``none``; or None for the default, which is the official
            list where the records are the whole of CLS-LOC val, and no list elsewhere.

    Raises:
        InputError: the file is missing, or holds something else than numbers of images, or those of all images.
    """
    numbers, last = _image_numbers(records)
    if choice == "none":
        listed = frozenset[int]()
    elif choice is not None:
        listed = _read(Path(choice), last)
    else:
        is_whole_val = last == OFFICIAL_IMAGES and len(set(numbers)) == OFFICIAL_IMAGES
        listed = clsloc_blacklist() if is_whole_val else frozenset[int]()
    left_out = np.isin(numbers, list(listed))
    if len(left_out) and left_out.all():
        raise InputError(f"{records.root}: all {len(left_out)} images are blacklisted")
    return left_out


def _image_numbers(records: Records) -> tuple[list[int], int]:
    """Each image's number, and the largest there can be."""
    names = records.names()
    matches = [_OFFICIAL_NAME.fullmatch(name) for name in names]
    official = [int(match[1]) for match in matches if match]
    if names and len(official) == len(names):
        return official, OFFICIAL_IMAGES
    return (np.argsort(alphabetical(image_names(records).ids)) + 1).tolist(), len(names)


def _read(file: Path, last: int) -> frozenset[int]:
    numbers = set()
    for place, word in blacklist_lines(file, "image numbers"):
        if not (word.isdecimal() and len(word) < 10 and 1 <= int(word) <= last):
            raise InputError(f"{file}:{place}: wanted the number of an image, 1 .. {last}, got {word!r}")
        numbers.add(int(word))
    return frozenset(numbers)


def blacklist_lines(file: Path, of: str) -> list[tuple[int, str]]:
    """The lines of a blacklist that are not empty, stripped, each with its number from 1.

    Raises:
        InputError: it cannot be read; ``of`` is what it was to hold.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as a blacklist (a file of {of}, or 'none'): {error}") from None
    return [(place, line.strip()) for place, line in enumerate(lines, 1) if line.strip()]
