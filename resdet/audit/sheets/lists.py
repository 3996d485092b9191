"""What lies beside corrected annotations: lists of images, tables of classes, and the images themselves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Container
from pathlib import Path

from resdet.audit.sheet import Corrections


def left_out_of(corrections: Corrections) -> set[str]:
    """The images that are to be left out, by the names of their annotation files without ending."""
    return {Path(place).stem for place, correction in corrections.items() if correction.leave_out}


def copy_list(file: Path, to: Path, left_out: Container[str]) -> None:
    """Copy a list without the lines whose first word, or all of it, is an image that is left out."""
    to.parent.mkdir(parents=True, exist_ok=True)
    lines = file.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    kept = [line for line in lines if line.strip() not in left_out and (line.split() or [""])[0] not in left_out]
    to.write_text("".join(kept), encoding="utf-8")


def copy_beside(base: Path, folder: Path, *names: str) -> None:
    """Copy those of the files that are there and not yet in ``folder``."""
    for name in names:
        if (base / name).is_file() and not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(base / name, folder / name)


def link(images: Path, to: Path) -> None:
    """A link to a folder of images, so that the corrected set can be opened as the old one is; none where it lacks."""
    if images.is_dir() and not os.path.lexists(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        to.symlink_to(images.resolve(), target_is_directory=True)
