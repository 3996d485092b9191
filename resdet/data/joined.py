"""Several data sets as one: VOC's 2007 and 2012, COCO's train and val."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resdet.data.records import CODEC, NO_NUMBER, Records
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
    root = _common_folder([part.root for part in parts])
    paths = [path.encode(*CODEC) for part in parts for path in _paths(part, root)]
    return Records(
        root,
        first.classes,
        path_bytes=_shared([torch.from_numpy(np.frombuffer(b"".join(paths), np.uint8).copy())]),
        path_ends=_shared([torch.tensor([len(path) for path in paths], dtype=torch.int64).cumsum(0)]),
        labels=_shared([part.labels for part in parts]),
        boxes=_shared([part.boxes for part in parts]),
        box_labels=_shared([part.box_labels for part in parts]),
        box_ends=_shared([torch.cat([part.box_counts() for part in parts]).cumsum(0)]),
        box_ignored=_shared([part.box_ignored for part in parts]),
        sizes=_shared([part.sizes for part in parts]),
        numbers=_shared([_numbers(parts)]),
        box_areas=_shared(_areas(parts)),
        pixels=_pixels(parts),
    )


def _shared(columns: Sequence[Tensor]) -> Tensor:
    """One after another, in shared memory as :func:`resdet.data.records.pack` has them."""
    return torch.cat(list(columns)).share_memory_()


def _paths(part: Records, root: Path) -> list[str]:
    """The paths of a part's images relative to ``root``."""
    below = Path(os.path.relpath(part.root, root)).as_posix()
    prefix = "" if below == "." else f"{below}/"
    return [prefix + path for path in part.paths()]


def _numbers(parts: Sequence[Records]) -> Tensor:
    numbers = torch.cat([part.numbers for part in parts])
    known = numbers[numbers != NO_NUMBER]
    return numbers if len(known.unique()) == len(known) else torch.full_like(numbers, NO_NUMBER)


def _areas(parts: Sequence[Records]) -> list[Tensor]:
    """Each part's, -1 where it says none; none where no part does."""
    if not any(len(part.box_areas) for part in parts):
        return [part.box_areas for part in parts]
    unsaid = [torch.full((len(part.boxes),), -1.0) for part in parts]
    return [part.box_areas if len(part.box_areas) else none for part, none in zip(parts, unsaid, strict=True)]


def _pixels(parts: Sequence[Records]) -> Tensor | None:
    """The images of sets that hold them in memory; if one does, all must."""
    there = [part.pixels for part in parts if part.pixels is not None]
    if not there:
        return None
    if len(there) < len(parts) or len({pixels.shape[1:] for pixels in there}) > 1:
        held = next(part.root for part in parts if part.pixels is not None)
        raise InputError(f"{held}: holds its images itself: it can be joined with its own splits alone")
    return torch.cat(there).share_memory_()


def _common_folder(roots: Sequence[Path]) -> Path:
    if len(set(roots)) == 1:
        return roots[0]
    try:
        return Path(os.path.commonpath([os.path.abspath(root) for root in roots]))
    except ValueError:  # Windows
        raise InputError(f"{', '.join(map(str, roots))}: sets on different drives cannot be joined") from None
