"""Each format's annotations as sheets, and back into the format's own form."""

from __future__ import annotations

from resdet.audit.sheet import SheetSet
from resdet.audit.sheets import coco, ilsvrc_det, ilsvrc_loc, plain, tiny_imagenet, voc
from resdet.data.folder_tree import at_home
from resdet.data.formats import split_spec
from resdet.errors import InputError, UsageError

OPENERS = {
    "coco": coco.open_set,
    "ilsvrc-det": ilsvrc_det.open_set,
    "ilsvrc-loc": ilsvrc_loc.open_set,
    "shapes": ilsvrc_loc.open_set,
    "tiny-imagenet": tiny_imagenet.open_set,
    "voc": voc.open_set,
}


def open_sheets(spec: str) -> SheetSet:
    """The set that ``FORMAT:ROOT:SPLIT`` names; one of class labels alone is read whole.

    Raises:
        UsageError: an unknown format, or no root or split.
        InputError: there is no such set, or what names its images and classes cannot be read.
    """
    name, root, split = split_spec(spec)
    if name not in OPENERS:
        return plain.open_set(spec)
    if not root or not split:
        raise UsageError(f"{spec!r}: wanted FORMAT:ROOT:SPLIT")
    if not (name == "coco" or at_home(root).is_dir()):
        raise InputError(f"{spec!r}: wanted a folder for ROOT, there is no {root}")
    return OPENERS[name](at_home(root), split)
