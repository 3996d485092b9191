"""Several data sets as one: VOC's 2007 and 2012, COCO's train and val."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from resdet.data.records import NO_NUMBER, Record, Records, pack
from resdet.errors import InputError


def join(parts: Sequence[Records]) -> Records:
    """The images of one set after those of another, all of the same classes.

    The numbers of images are kept where they tell every image apart, else there are none.

    Raises:
        InputError: the classes are not the same, the sets lie on different drives, or one has files and one has not.
    """
    first, *others = parts
    for other in others:
        if other.classes != first.classes:
            strange = sorted(set(first.classes.ids) ^ set(other.classes.ids))
            how = (
                f"{strange[0]!r} is of one alone"
                if strange
                else "they are in another order, have other names, or have other numbers"
            )
            raise InputError(f"{first.root} and {other.root} do not have the same classes to be joined: {how}")
    numbers = torch.cat([part.numbers for part in parts])
    known = numbers[numbers != NO_NUMBER]
    root = _common_folder([part.root for part in parts])
    joined = pack(root, first.classes, _rows(parts, root, numbered=len(known.unique()) == len(known)))
    return replace(joined, pixels=_pixels(parts))


def _pixels(parts: Sequence[Records]) -> Tensor | None:
    """The images of sets that hold them in memory; if one does, all must."""
    there = [part.pixels for part in parts if part.pixels is not None]
    if not there:
        return None
    if len(there) < len(parts) or len({pixels.shape[1:] for pixels in there}) > 1:
        held = next(part.root for part in parts if part.pixels is not None)
        raise InputError(f"{held}: holds its images itself: it can be joined with its own splits alone")
    return torch.cat(there).share_memory_()


def _rows(parts: Sequence[Records], root: Path, *, numbered: bool) -> Iterator[Record]:
    for part in parts:
        below = Path(os.path.relpath(part.root, root)).as_posix()
        prefix = "" if below == "." else f"{below}/"
        for index in range(len(part)):
            row = part[index]
            yield row._replace(path=prefix + row.path, number=row.number if numbered else NO_NUMBER)


def _common_folder(roots: Sequence[Path]) -> Path:
    if len(set(roots)) == 1:
        return roots[0]
    try:
        return Path(os.path.commonpath([os.path.abspath(root) for root in roots]))
    except ValueError:  # Windows
        raise InputError(f"{', '.join(map(str, roots))}: sets on different drives cannot be joined") from None
