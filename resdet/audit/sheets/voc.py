"""PASCAL VOC's layout as sheets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from resdet.audit.boxes import Frame
from resdet.audit.sheet import Corrections, Sheet, SheetSet
from resdet.audit.sheets.lists import copy_lists, left_out_of, link
from resdet.audit.sheets.xml_files import read_sheet, write_sheet
from resdet.data.formats.many_files import read_each
from resdet.data.formats.voc_files import Tree, find_tree, images_of, listed, named, stems

FRAME = Frame(first_pixel=1, last_inside=1)


def open_set(root: Path, split: str) -> SheetSet:
    """The images of a list, or ``all`` that have an XML and all that have none.

    Raises:
        InputError: a missing folder or list.
    """
    tree = find_tree(root)
    annotated = stems(tree.base / tree.annotations, (".xml",))
    images = images_of(tree)
    names = sorted(annotated.keys() | images) if split == "all" else listed(tree, split, annotated)
    return SheetSet(
        tree.base, FRAME, partial(_sheets, tree, names, annotated, images), len(names), partial(_write, tree, annotated)
    )


def _sheets(tree: Tree, names: list[str], annotated: dict[str, str], images: dict[str, str]) -> Iterator[Sheet]:
    def sheet(name: str) -> Sheet:
        stem = name if name in images else os.path.splitext(name)[0]  # a list may have the image's ending
        image = f"{tree.images}/{images.get(stem, f'{name}.jpg')}"
        file = f"{tree.base / tree.annotations / annotated.get(name, f'{name}.xml')}"
        if name not in annotated:
            return Sheet(image, file, wrong=f"{file}: not found, though the image is", kind="no-annotation")
        return read_sheet(file, image, FRAME, None)

    return read_each(sheet, names)


def _write(tree: Tree, annotated: dict[str, str], folder: Path, corrections: Corrections) -> None:
    """Every XML of the set, since all of them together tell the classes, and its lists."""
    left_out = left_out_of(corrections)
    for stem, name in annotated.items():
        file, to = tree.base / tree.annotations / name, folder / tree.annotations / name
        correction = corrections.get(str(file))
        if stem not in left_out and (correction or not to.exists()):
            write_sheet(file, to, correction, FRAME)
    known = annotated.keys() | left_out
    copy_lists(tree.base, folder, "ImageSets/Main", left_out, lambda line: named(line, known)[0])
    link(tree.base / tree.images, folder / tree.images, left_out)
