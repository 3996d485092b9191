"""Class lists of ImageNet, VOC and COCO, ImageNet's blacklists, the halves of DET's val: text files beside this one.

``imagenet.txt``: the 1000 classes as ``WNID name``, sorted by WNID, which is the label order of torchvision and
the line order of Kaggle's ``LOC_synset_mapping.txt``, where the names come from: the first synonym, but for the
two that would occur twice, which are ``crane bird`` and ``maillot tank suit`` as in torchvision.
``clsloc_devkit_order.txt``: the same WNIDs in the order of the ILSVRC2015 development kit's ``map_clsloc.txt``,
so that line ``n`` has devkit id ``n``.
``clsloc_val_blacklist.txt``: the kit's ``ILSVRC2015_clsloc_validation_blacklist.txt``, image numbers from 1.
``det.txt``: the 200 classes of DET as ``WNID name``, in the order of the kit's ``map_det.txt``: line ``n`` has devkit
id ``n``.
``det_val_blacklist.txt``: the kit's pairs ``image-index WNID`` that the evaluation of DET val leaves out.
``det_val1.txt``, ``det_val2.txt``: R-CNN's halves of DET val without the images of that blacklist, in R-CNN's order.
``voc.txt``: the 20 classes of PASCAL VOC, in the order of the VOC development kit.
``coco.txt``: the 80 classes of COCO as ``category-id name``, whose ids have gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources


@cache
def imagenet_wnids() -> tuple[str, ...]:
    """The 1000 WNIDs, sorted: label ``i`` is the ``i``-th."""
    return tuple(line.split(" ", 1)[0] for line in _lines("imagenet.txt"))


@cache
def imagenet_names() -> tuple[str, ...]:
    """A name for each class, all different, in the order of :func:`imagenet_wnids`."""
    return tuple(line.split(" ", 1)[1] for line in _lines("imagenet.txt"))


def devkit_ids() -> dict[str, int]:
    """From WNID to the development kit's CLS-LOC id, 1 .. 1000, which is not the sorted order."""
    return {wnid: number for number, wnid in enumerate(_lines("clsloc_devkit_order.txt"), 1)}


@cache
def clsloc_blacklist() -> frozenset[int]:
    """The 1,762 images of CLS-LOC val that the localization error leaves out: ``n`` is ``ILSVRC2012_val_%08d``."""
    return frozenset(int(line) for line in _lines("clsloc_val_blacklist.txt"))


@cache
def det_wnids() -> tuple[str, ...]:
    """The 200 WNIDs of DET: devkit id ``n`` is the ``n``-th, from 1.  They are not sorted."""
    return tuple(line.split(" ", 1)[0] for line in _lines("det.txt"))


@cache
def det_names() -> tuple[str, ...]:
    """A name for each class of DET, all different, in the order of :func:`det_wnids`."""
    return tuple(line.split(" ", 1)[1] for line in _lines("det.txt"))


@cache
def det_blacklist() -> frozenset[tuple[int, str]]:
    """The 409 pairs of an image's index in DET val, from 1, and a WNID that is not to be judged in that image."""
    pairs = (line.split() for line in _lines("det_val_blacklist.txt"))
    return frozenset((int(index), wnid) for index, wnid in pairs)


def det_val_half(split: str) -> tuple[str, ...]:
    """The 9,887 images of DET's ``val1`` or the 9,917 of ``val2``, by name without ending."""
    return tuple(_lines(f"det_{split}.txt"))


@cache
def voc_names() -> tuple[str, ...]:
    """The 20 classes of PASCAL VOC."""
    return tuple(_lines("voc.txt"))


@cache
def coco_classes() -> dict[int, str]:
    """From COCO's category id, 1 .. 90 with gaps, to the class's name, in the order of the ids."""
    rows = (line.split(" ", 1) for line in _lines("coco.txt"))
    return {int(number): name for number, name in rows}


def standard_numbers(ids: Sequence[str]) -> tuple[int, ...]:
    """What files of results call the classes of a known list, in any order: DET's WNIDs, or COCO's names.

    Returns:
        The development kit's ids, or COCO's category ids; nothing for other lists, or a part of one.
    """
    det = {wnid: number for number, wnid in enumerate(det_wnids(), 1)}
    coco = {name: number for number, name in coco_classes().items()}
    for numbers in (det, coco):
        if set(ids) == set(numbers):
            return tuple(numbers[i] for i in ids)
    return ()


def _lines(name: str) -> list[str]:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8").splitlines()
