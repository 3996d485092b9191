"""ILSVRC DET as sheets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from resdet.audit.boxes import Frame
from resdet.audit.sheet import Corrections, Sheet, SheetSet
from resdet.audit.sheets.lists import copy_lists, link
from resdet.audit.sheets.xml_files import read_sheet, write_sheet
from resdet.data.formats.ilsvrc_det import base_of, images_of, parts_of
from resdet.data.formats.many_files import read_each

FRAME = Frame(first_pixel=0, last_inside=1)


def open_set(root: Path, split: str) -> SheetSet:
    """The images of a split or a sum of such; one without XML has no objects, as it should be.

    Raises:
        InputError: an unknown split, a missing folder or list, a line of another form.
    """
    base = base_of(root)
    names = list(dict.fromkeys(name for part in parts_of(root, split) for name in images_of(base, part)))
    return SheetSet(base, FRAME, partial(_sheets, base, names), len(names), partial(_write, base, names))


def _file(base: Path, name: str) -> str:
    return f"{base}/Annotations/DET/{name}.xml"


def _sheets(base: Path, names: list[str]) -> Iterator[Sheet]:
    from resdet.data.lists import det_wnids

    known = frozenset(det_wnids())

    def sheet(name: str) -> Sheet:
        image, file = f"Data/DET/{name}.JPEG", _file(base, name)
        if os.path.exists(file):
            return read_sheet(file, image, FRAME, known)
        return Sheet(image, file, kind="no-annotation")  # which it needs not have, with an image

    return read_each(sheet, names)


def _write(base: Path, names: list[str], folder: Path, corrections: Corrections) -> None:
    left_out = set()
    for name in names:
        correction = corrections.get(_file(base, name))
        if correction and correction.leave_out:
            left_out.add(name.partition("/")[2])  # lists name images within train/ or val/
        elif os.path.exists(_file(base, name)):
            write_sheet(Path(_file(base, name)), folder / "Annotations" / "DET" / f"{name}.xml", correction, FRAME)
    copy_lists(base, folder, "ImageSets/DET", left_out)
    link(base / "Data", folder / "Data")
