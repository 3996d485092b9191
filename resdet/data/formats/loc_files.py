"""Where the images of ILSVRC CLS-LOC lie, and which of them a split holds."""

from __future__ import annotations

import os
import re
from pathlib import Path

from resdet.data.folder_tree import subfolders
from resdet.data.formats.named_files import above, inside, numbered_lines
from resdet.data.image_files import ENDINGS
from resdet.errors import InputError

LAYOUT = "Data/CLS-LOC, Annotations/CLS-LOC and ImageSets/CLS-LOC, or ILSVRC/ that holds these"
LISTS = {  # split: its lists in ImageSets/CLS-LOC, the first that is there
    "train": ("train_loc.txt", "train_cls.txt"),
    "train_cls": ("train_cls.txt",),
    "val": ("val.txt",),
    "test": ("test.txt",),
}
OFFICIAL = re.compile(r"(n\d{8}/n\d{8}_\d+|ILSVRC2012_(val|test)_\d{8})")  # names of images that all end in .JPEG


def base_of(root: Path) -> Path:
    """The folder that holds ``Data``, ``Annotations``, ``ImageSets``: ``root``, or Kaggle's ``root/ILSVRC``."""
    for base in (root, root / "ILSVRC"):
        if any((base / kind / "CLS-LOC").is_dir() for kind in ("Data", "Annotations", "ImageSets")):
            return base
    raise InputError(f"{root}: wanted a folder with {LAYOUT}")


def find_beside(base: Path, name: str) -> Path | None:
    """One of Kaggle's files, which lie in the folder, beside it, or one further up; None where there is none."""
    return next((d / name for d in (base, above(base)) if (d / name).is_file()), None)


def images_of(base: Path, split: str) -> list[tuple[str, str]]:
    """The images of a split in the order of its list: name, and path relative to ``base``.

    A name is ``<class>/<file>`` for train and ``<file>`` for val and test, without ending.  Without a list: every image
    there is, or else every annotation, sorted.  An image that is not there gets the path it would have.
    """
    prefix = f"Data/CLS-LOC/{folder_of(split)}/"
    listed = _listed(base, split)
    if listed and OFFICIAL.fullmatch(listed[0]) and (base / f"{prefix}{listed[0]}.JPEG").exists():  # no need to look
        return [(name, f"{prefix}{name}.JPEG") for name in listed]
    there = files_of(base / prefix, ENDINGS, split)
    names = listed or sorted(there) or sorted(files_of(annotations_of(base, split), (".xml",), split))
    if not names:
        raise InputError(f"{base}: no {split} images: wanted ImageSets/CLS-LOC/{LISTS[split][0]} or images in {prefix}")
    return [(name, prefix + there.get(name, f"{name}.JPEG")) for name in names]


def annotations_of(base: Path, split: str) -> Path:
    """The folder of a split's XML files."""
    return base / "Annotations" / "CLS-LOC" / folder_of(split)


def folder_of(split: str) -> str:
    """The name of the folder of a split's images and annotations."""
    return split.removesuffix("_cls")


def files_of(folder: Path, endings: tuple[str, ...], split: str) -> dict[str, str]:
    """From an image's name, as in :func:`images_of`, to its path relative to ``folder``: there or one folder down.

    Raises:
        InputError: two files have one name: an image would be lost, or get another's annotation.
    """
    found: dict[str, str] = {}
    for below in ("", *subfolders(folder)):
        for file in os.listdir(folder / below) if (folder / below).is_dir() else ():
            stem, ending = os.path.splitext(file)
            if ending.lower() in endings:
                name = f"{below}/{stem}" if folder_of(split) == "train" else stem
                path = f"{below}/{file}" if below else file
                if (other := found.setdefault(name, path)) != path:
                    first, second = sorted((other, path))
                    raise InputError(f"{folder}: {first} and {second}: wanted names that differ before their ending")
    return found


def _listed(base: Path, split: str) -> list[str]:
    """The first words of the lines of a split's list, each once; none where there is no list."""
    files = (base / "ImageSets" / "CLS-LOC" / name for name in LISTS[split])
    file = next((f for f in files if f.is_file()), None)
    if file is None:
        return []
    lines = numbered_lines(file, "lines '<name> <index>'")
    return list(dict.fromkeys(inside(line.split()[0], f"{file}:{number}") for number, line in lines))
