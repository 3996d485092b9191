"""What lies beside corrected annotations: lists of images, tables of classes, and the images themselves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Container
from pathlib import Path

from resdet.audit.sheet import Corrections


def left_out_of(corrections: Corrections) -> set[str]:
    """The images that are to be left out, by the names of their annotation files without ending."""
    return {Path(place).stem for place, correction in corrections.items() if correction.leave_out}


def _first_word(line: str) -> str:
    return line.split()[0]


def copy_lists(
    base: Path, folder: Path, below: str, left_out: Container[str], image_of: Callable[[str], str] = _first_word
) -> None:
    """Copy the lists in ``base / below`` to ``folder / below``, without the lines whose image is left out.

    A list that is in ``folder`` already, from another split, loses these lines too.

    Args:
        image_of: from a line, stripped and not empty, to its image as ``left_out`` has it.
    """
    for file in sorted((base / below).glob("*.txt")):
        to = folder / below / file.name
        lines = (to if to.exists() else file).read_text(encoding="utf-8-sig").splitlines(keepends=True)
        to.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in lines if not line.strip() or image_of(line.strip()) not in left_out]
        to.write_text("".join(kept), encoding="utf-8")


def copy_beside(base: Path, folder: Path, *names: str) -> None:
    """Copy those of the files that are there and not yet in ``folder``."""
    for name in names:
        if (base / name).is_file() and not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(base / name, folder / name)


def link(images: Path, to: Path, left_out: Container[str] = ()) -> None:
    """A link to a folder of images, so that the corrected set can be opened as the old one is; none where it lacks.

    Args:
        left_out: images without ending: where there are such, the others are linked one by one.
    """
    if not images.is_dir() or os.path.lexists(to):
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    if not left_out:
        to.symlink_to(images.resolve(), target_is_directory=True)
        return
    to.mkdir()
    for image in sorted(images.resolve().iterdir()):
        if image.stem not in left_out:
            (to / image.name).symlink_to(image)
