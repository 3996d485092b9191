"""Class folders with images: labels only.

::

    ROOT/[SPLIT/]<class>/<any depth>/<name>.jpg

The classes and the images are those of torchvision's ``ImageFolder``, in its order, but for hidden folders and files,
which are left out (``.ipynb_checkpoints`` is no class), and ``.gif`` and ``.jfif``, which are images too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from resdet.data.folder_tree import subfolders, walk
from resdet.data.image_files import ENDINGS
from resdet.data.records import Classes, Record, Records, pack
from resdet.errors import InputError

LAYOUT = "a folder of images for every class"
SPLITS = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))


def read(root: Path, split: str) -> Records:
    """Read the class folders in ``root``, or in its folder ``split`` where one is named; sorted, they are the labels.

    Raises:
        InputError: no such folder; no class folders in it, or splits in place of classes; a class without images;
            images that lie beside the class folders.
    """
    base = root / split if split else root
    if not base.is_dir():
        raise InputError(f"{base}: no such folder; wanted class folders in it")
    names = [name for name in subfolders(base) if not name.startswith(".")]
    _check(base, names, may_be_splits=not split)
    return pack(base, _classes(names), _records(base, names))


def _check(base: Path, names: list[str], *, may_be_splits: bool) -> None:
    stray = sorted(name for name in os.listdir(base) if _is_image(name) and (base / name).is_file())
    if stray:
        raise InputError(f"{base / stray[0]}: of no class (so of {len(stray)}): wanted the images in class folders")
    if not names:
        raise InputError(f"{base}: no class folders; wanted {LAYOUT}")
    if may_be_splits and SPLITS.issuperset(names):
        raise InputError(f"{base}: holds {', '.join(names)}, which are splits and no classes: folder:{base}:{names[0]}")


def _classes(names: list[str]) -> Classes:
    from resdet.data.lists import imagenet_names, imagenet_wnids  # here: most sets are not ImageNet's

    known = dict(zip(imagenet_wnids(), imagenet_names(), strict=True))
    return Classes(tuple(names), tuple(known.get(name, name) for name in names))


def _records(base: Path, names: list[str]) -> Iterator[Record]:
    for label, name in enumerate(names):
        paths = list(_images(base, name))
        if not paths:
            raise InputError(
                f"{base / name}: no images in this class folder; wanted files ending in {' '.join(ENDINGS)}"
            )
        yield from (Record(path, label) for path in paths)


def _images(base: Path, name: str) -> Iterator[str]:
    """The paths, relative to ``base``, of the images in a class folder and below, symbolic links followed."""
    for here, files in sorted(walk(base / name), key=lambda listed: str(listed.path)):  # as ImageFolder sorts them
        below = here.relative_to(base).as_posix()
        yield from (f"{below}/{file}" for file in files if _is_image(file))


def _is_image(name: str) -> bool:
    return name.lower().endswith(ENDINGS) and not name.startswith(".")
