"""Tiny-ImageNet: 200 classes, 64x64 images, one box an image, in inclusive pixels 0 .. 63."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from resdet.data.records import Classes, Record, Records, pack
from resdet.errors import InputError


def read(root: Path, split: str) -> Records:
    """Read ``train`` or ``val`` of the folder that holds ``train/``, ``val/``, ``wnids.txt``.

    A box file may list images that are not there (a partly unpacked set): those rows are left out.

    Raises:
        InputError: a missing file, a box that is not four whole numbers or is upside down, an unknown class.
    """
    classes = _classes(root)
    if split == "train":
        return pack(root, classes, _train(root, classes))
    if split == "val":
        return pack(root, classes, _val(root, classes))
    raise InputError(f"tiny-imagenet has the splits train and val, got {split!r}")


def _classes(root: Path) -> Classes:
    ids = tuple(_lines(root / "wnids.txt"))
    words = dict(line.split("\t", 1) for line in _lines(root / "words.txt") if "\t" in line)
    return Classes(ids, tuple(words.get(i, i).split(",")[0] for i in ids))


def _train(root: Path, classes: Classes) -> Iterator[Record]:
    for label, wnid in enumerate(classes.ids):
        folder = root / "train" / wnid
        there = {p.name for p in (folder / "images").iterdir()} if (folder / "images").is_dir() else set()
        table = folder / f"{wnid}_boxes.txt"
        for number, line in enumerate(_lines(table), 1):
            name, *box = line.split()
            if name in there:
                yield Record(f"train/{wnid}/images/{name}", label, [_box(box, f"{table}:{number}")])


def _val(root: Path, classes: Classes) -> Iterator[Record]:
    table = root / "val" / "val_annotations.txt"
    labels = {wnid: i for i, wnid in enumerate(classes.ids)}
    there = {p.name for p in (root / "val" / "images").iterdir()} if (root / "val" / "images").is_dir() else set()
    for number, line in enumerate(_lines(table), 1):
        name, wnid, *box = line.split()
        if wnid not in labels:
            raise InputError(f"{table}:{number}: class {wnid!r} is not in wnids.txt")
        if there and name not in there:
            continue
        yield Record(f"val/images/{name}", labels[wnid], [_box(box, f"{table}:{number}")])


def _box(words: list[str], place: str) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (int(w) for w in words)
    except ValueError:
        raise InputError(f"{place}: wanted x1 y1 x2 y2 as whole numbers, got {' '.join(words)!r}") from None
    if x2 < x1 or y2 < y1:
        raise InputError(f"{place}: box {x1} {y1} {x2} {y2} is upside down")
    return x1, y1, x2 + 1, y2 + 1  # inclusive pixels in the file: the last pixel's far edge is one further


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text().splitlines() if line.strip()]
    except FileNotFoundError:
        raise InputError(f"{file}: not found; tiny-imagenet wants train/, val/, wnids.txt and words.txt") from None
