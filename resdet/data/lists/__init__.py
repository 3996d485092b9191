"""ImageNet's class lists and the blacklist of CLS-LOC val, as plain text files beside this one.

``imagenet.txt``: the 1000 classes as ``WNID name``, sorted by WNID, which is the label order of torchvision and
the line order of Kaggle's ``LOC_synset_mapping.txt``, where the names come from: the first synonym, but for the
two that would occur twice, which are ``crane bird`` and ``maillot tank suit`` as in torchvision.
``clsloc_devkit_order.txt``: the same WNIDs in the order of the ILSVRC2015 development kit's ``map_clsloc.txt``,
so that line ``n`` has devkit id ``n``.
``clsloc_val_blacklist.txt``: the kit's ``ILSVRC2015_clsloc_validation_blacklist.txt``, image numbers from 1.
"""

from __future__ import annotations

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


def _lines(name: str) -> list[str]:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8").splitlines()
