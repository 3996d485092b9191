"""Tiny-ImageNet: 200 classes, 64x64 images, one box an image, in inclusive pixels 0 .. 63."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from resdet.data.formats.inclusive import read_box
from resdet.data.formats.named_files import inside, numbered_lines
from resdet.data.records import Classes, Record, Records, pack
from resdet.errors import InputError


def read(root: Path, split: str) -> Records:
    """Read ``train`` or ``val`` of the folder that holds ``train/``, ``val/``, ``wnids.txt``.

    A box file may list images that are not there (a partly unpacked set): those rows are left out.  Where not one image
    of the split is there, all rows are read: annotations are enough to evaluate predictions.

    Raises:
        InputError: a missing file, a line of another form, a box that is upside down, an unknown class.
    """
    classes = classes_of(root)
    if split == "train":
        return pack(root, classes, _train(root, classes))
    if split == "val":
        return pack(root, classes, _val(root, classes))
    raise InputError(f"tiny-imagenet has the splits train and val, got {split!r}")


def classes_of(root: Path) -> Classes:
    """The classes of ``wnids.txt`` in its order, named as ``words.txt``, if it is there, has them."""
    labels: dict[str, int] = {}
    for number, line in lines_of(root / "wnids.txt"):
        inside(line, f"{root / 'wnids.txt'}:{number}")  # it names a folder
        if line in labels:
            raise InputError(f"{root / 'wnids.txt'}:{number}: class {line!r} is listed twice")
        labels[line] = len(labels)
    ids = tuple(labels)
    names = lines_of(root / "words.txt") if (root / "words.txt").exists() else []
    words = dict(line.split("\t", 1) for _, line in names if "\t" in line)
    return Classes(ids, tuple(words.get(i, i).split(",")[0] for i in ids))


def _train(root: Path, classes: Classes) -> Iterator[Record]:
    there = {wnid: _names(root / "train" / wnid / "images") for wnid in classes.ids}
    without_images = not any(there.values())
    for label, wnid in enumerate(classes.ids):
        folder = root / "train" / wnid
        table = folder / f"{wnid}_boxes.txt"
        for number, line in lines_of(table):
            name, *box = words_of(line, f"{table}:{number}", "name x1 y1 x2 y2")
            if without_images or name in there[wnid]:
                yield Record(f"train/{wnid}/images/{name}", label, [read_box(box, f"{table}:{number}", first_pixel=0)])


def _val(root: Path, classes: Classes) -> Iterator[Record]:
    table = root / "val" / "val_annotations.txt"
    labels = {wnid: i for i, wnid in enumerate(classes.ids)}
    there = _names(root / "val" / "images")
    for number, line in lines_of(table):
        name, wnid, *box = words_of(line, f"{table}:{number}", "name class x1 y1 x2 y2")
        if wnid not in labels:
            raise InputError(f"{table}:{number}: class {wnid!r} is not in wnids.txt")
        if there and name not in there:
            continue
        yield Record(f"val/images/{name}", labels[wnid], [read_box(box, f"{table}:{number}", first_pixel=0)])


def _names(folder: Path) -> frozenset[str]:
    return frozenset(os.listdir(folder)) if folder.is_dir() else frozenset()


def words_of(line: str, place: str, wanted: str) -> list[str]:
    """A line's words, as many as ``wanted`` has; the first names an image."""
    words = line.split()
    if len(words) != len(wanted.split()):
        raise InputError(f"{place}: wanted {wanted!r}, got {line!r}")
    inside(words[0], place)
    return words


def lines_of(file: Path) -> list[tuple[int, str]]:
    """The lines that are not empty, each with its number."""
    if not file.exists():
        raise InputError(f"{file}: not found; tiny-imagenet wants train/, val/, wnids.txt")
    return numbered_lines(file, "lines of tiny-imagenet's form")
