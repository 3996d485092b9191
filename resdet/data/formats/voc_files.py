"""Where the files of a set in VOC's layout lie, and which images a list holds."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

from resdet.data.folder_tree import subfolders
from resdet.data.formats.named_files import find_file, inside, numbered_lines
from resdet.data.image_files import ENDINGS
from resdet.errors import InputError

LAYOUT = "Annotations, JPEGImages (or annotations, images) and ImageSets/Main, or one folder that holds these"
LIST_LINE = "lines '<name>' or '<name> -1|0|1'"


class Tree(NamedTuple):
    """A set's folder and the names of two in it."""

    base: Path
    images: str
    annotations: str


def find_tree(root: Path) -> Tree:
    """The set in ``root``, or the only one in a folder of it or of its ``VOCdevkit``.

    Raises:
        InputError: there is none, or there are several to choose from.
    """
    if tree := _tree(root):
        return tree
    below = (top / name for top in (root, root / "VOCdevkit") for name in subfolders(top))
    trees = [tree for folder in below if (tree := _tree(folder))]
    if not trees:
        raise InputError(f"{root}: wanted a folder with {LAYOUT}")
    if len(trees) > 1:
        raise InputError(f"{root}: holds several sets, name one: {', '.join(str(tree.base) for tree in trees)}")
    return trees[0]


def _tree(base: Path) -> Tree | None:
    folders = {name.lower(): name for name in subfolders(base)}
    if "annotations" not in folders:
        return None
    images = folders.get("jpegimages") or folders.get("images") or "JPEGImages"
    return Tree(base, images, folders["annotations"])


def stems(folder: Path, endings: tuple[str, ...]) -> dict[str, str]:
    """From each file's name without ending to its name; of two with one stem, the first by name."""
    found: dict[str, str] = {}
    for name in sorted(entry.name for entry in os.scandir(folder)):
        stem, ending = os.path.splitext(name)
        if ending.lower() in endings:
            found.setdefault(stem, name)
    return found


def images_of(tree: Tree) -> dict[str, str]:
    """The images that are there, by name without ending."""
    folder = tree.base / tree.images
    return stems(folder, ENDINGS) if folder.is_dir() else {}


def listed(tree: Tree, split: str, annotated: Container[str]) -> list[str]:
    """The images of a list, each once, in its order.

    Args:
        split: the list's name in ``ImageSets/Main``, or a path to a file that ends in ``.txt``: absolute, or from the
            set's folder, or from the working directory.
        annotated: the names that have an XML.

    Lists of one class have a second column: images marked -1, which do not hold the class, are left out; those with
    1, and with 0 (nothing but difficult ones), are taken.

    Raises:
        InputError: there is no such list, or a line has another form.
    """
    main = tree.base / "ImageSets" / "Main"
    if split.endswith(".txt"):
        file = find_file(split, (main, tree.base, Path()), "list")
    else:
        file = main / f"{split}.txt"
        if not file.is_file():
            there = sorted(stems(main, (".txt",))) if main.is_dir() else []
            raise InputError(f"{file}: no list {split!r}; there is {', '.join(['all', *there])}")
    names = (_name(line, f"{file}:{number}", annotated) for number, line in numbered_lines(file, LIST_LINE))
    return list(dict.fromkeys(name for name in names if name is not None))


def _name(line: str, place: str, annotated: Container[str]) -> str | None:
    """The image that a line names, None where its class is not in it."""
    name, flag = named(line, annotated)
    if flag not in ("", "-1", "0", "1"):
        raise InputError(f"{place}: wanted '<name>' or '<name> -1|0|1', got {line!r}")
    return None if flag == "-1" else inside(name, place)


def named(line: str, known: Container[str]) -> tuple[str, str]:
    """The image that a line of a list names, by its name in ``known`` if it is there, and the word after it, if any.

    In a line a name may have an ending, or spaces.
    """
    name, *flag = [line] if _known(line, known) else line.rsplit(maxsplit=1)
    return _known(name, known) or name, "".join(flag)


def _known(name: str, known: Container[str]) -> str | None:
    """The name as ``known`` has it: with or without what looks like an ending."""
    return next((n for n in (name, os.path.splitext(name)[0]) if n in known), None)
