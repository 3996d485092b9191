"""Data sets by name: ``FORMAT:ROOT[:SPLIT]``, the same on a command line and in a config.

Several of the same classes are one set: ``voc:VOC2007:trainval + voc:VOC2012:trainval``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import NamedTuple

from resdet.data.folder_tree import at_home
from resdet.data.formats import cifar10, coco, folder, ilsvrc_det, ilsvrc_loc, shapes, tiny_imagenet, voc, voc_files
from resdet.data.formats.loc_files import LAYOUT
from resdet.data.joined import join
from resdet.data.records import Records
from resdet.errors import InputError, UsageError


class Format(NamedTuple):
    """A way in which data sets are laid out on disk."""

    read: Callable[[Path, str], Records]  # root, split
    layout: str  # what the root folder holds, for the message when it is not there
    split_example: str
    split_may_lack: bool = False
    root_may_lack: bool = False  # the annotations lie elsewhere, and they alone are enough to evaluate predictions
    read_labels: Callable[[Path, str], Records] | None = None  # where classes can be had without the boxes' files


SUM = " + "  # with spaces: a folder's name may have a plus, but seldom with spaces around it

FORMATS = {
    "cifar10": Format(cifar10.read, cifar10.LAYOUT, "train"),
    "coco": Format(coco.read, "the images", "instances.json", root_may_lack=True),
    "folder": Format(folder.read, folder.LAYOUT, "train", split_may_lack=True),
    "ilsvrc-det": Format(ilsvrc_det.read, ilsvrc_det.LAYOUT, "val"),
    "ilsvrc-loc": Format(ilsvrc_loc.read, LAYOUT, "val", read_labels=partial(ilsvrc_loc.read, labels_alone=True)),
    "shapes": Format(shapes.read, "the demo set that datasets/make_shapes.py draws", "val"),
    "tiny-imagenet": Format(tiny_imagenet.read, "train/, val/, wnids.txt", "val"),
    "voc": Format(voc.read, voc_files.LAYOUT, "trainval"),
}


def open_records(spec: str, *, labels_alone: bool = False) -> Records:
    """Read the images and boxes of a data set, for example ``ilsvrc-loc:/data/imagenet:val``, or of several joined.

    Args:
        labels_alone: boxes and sizes are not asked for, and may be missing: reading ImageNet's takes most of a minute.

    Raises:
        UsageError: an unknown format, or no root or split.
        InputError: an unknown split, a missing folder, what the format's reader finds wrong, or sets of
            different classes that are to be joined.
    """
    if SUM in spec:
        return join([_open_one(part.strip(), labels_alone) for part in spec.split(SUM)])
    return _open_one(spec, labels_alone)


def _open_one(spec: str, labels_alone: bool) -> Records:
    name, root, split = split_spec(spec)
    if name not in FORMATS:
        nearest = get_close_matches(name, FORMATS, n=1, cutoff=0.0)[0]
        raise UsageError(f"{spec!r}: unknown format {name!r}; did you mean {nearest!r}? Known: {', '.join(FORMATS)}")
    wanted = FORMATS[name]
    if not root:
        raise UsageError(f"{spec!r}: wanted FORMAT:ROOT:SPLIT, such as {name}:/data/set:{wanted.split_example}")
    place = at_home(root)
    if not place.is_dir() and not wanted.root_may_lack:
        raise InputError(f"{spec!r}: no folder {place}; {name} wants {wanted.layout} there")
    if not split and not wanted.split_may_lack:
        raise UsageError(f"{spec!r}: wanted a split at the end, such as {name}:{root}:{wanted.split_example}")
    read = (labels_alone and wanted.read_labels) or wanted.read
    return read(place, split)


def split_spec(spec: str) -> tuple[str, str, str]:
    """``FORMAT:ROOT:SPLIT`` in its three parts, empty where not given; ROOT and SPLIT may begin with a drive.

    ``coco:a:/x/y.json`` is the file in the folder ``a`` where there is such a file, else a drive's folder.
    """
    name, _, rest = spec.partition(":")
    drive = None if os.path.isfile(rest[2:]) else re.match(r"[A-Za-z]:[\\/]", rest)
    start = len(drive[0]) if drive else 0
    if two := re.fullmatch(r"(.*):([A-Za-z]:[\\/].*)", rest[start:]):
        return name, rest[:start] + two[1], two[2]
    root, _, split = rest[start:].rpartition(":") if ":" in rest[start:] else (rest[start:], "", "")
    return name, rest[:start] + root, split
