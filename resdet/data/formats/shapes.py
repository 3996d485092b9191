"""The demo set that ``datasets/make_shapes.py`` draws, in the layout of ILSVRC CLS-LOC."""

from __future__ import annotations

from pathlib import Path

from resdet.data.formats import ilsvrc_loc
from resdet.data.records import Records
from resdet.errors import InputError


def read(root: Path, split: str) -> Records:
    """Read ``train`` or ``val`` of the demo set.

    Raises:
        InputError: as :func:`resdet.data.formats.ilsvrc_loc.read`.
    """
    if split not in ("train", "val"):
        raise InputError(f"{root}: shapes has the splits train and val, got {split!r}")
    return ilsvrc_loc.read(root, split)
