"""ILSVRC CLS-LOC in the layout of the ILSVRC2015 archive and of Kaggle's "imagenet-object-localization-challenge".

::

    [ILSVRC/]Data/CLS-LOC/{train/<wnid>/<name>.JPEG, val/<name>.JPEG or val/<wnid>/<name>.JPEG, test/<name>.JPEG}
    [ILSVRC/]Annotations/CLS-LOC/{train/<wnid>/<name>.xml, val/<name>.xml}
    [ILSVRC/]ImageSets/CLS-LOC/{train_loc.txt, train_cls.txt, val.txt, test.txt}      lines "<name> <index>"
    LOC_synset_mapping.txt, LOC_train_solution.csv, LOC_val_solution.csv              Kaggle's, optional

Annotations alone are enough: an image that is not there gets the path it would have.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from resdet.data.formats.loc_boxes import Source, open_boxes
from resdet.data.formats.loc_classes import classes_of
from resdet.data.formats.loc_files import LISTS, base_of, images_of
from resdet.data.formats.many_files import read_each
from resdet.data.formats.voc_xml import Annotation
from resdet.data.records import Record, Records, pack
from resdet.errors import InputError


def read(root: Path, split: str, *, labels_alone: bool = False) -> Records:
    """Read ``train``, ``train_cls``, ``val`` or ``test``.

    ``train`` is what ``train_loc.txt`` lists (images with boxes), else as ``train_cls``: what ``train_cls.txt`` lists,
    else every image there is.  A train image's label is its folder, a val image's the class of its boxes; test has
    neither labels nor boxes.  Sizes are what the XML files say: :mod:`resdet.data.drawn` is about images of others.
    With ``labels_alone`` a train image has its class and nothing else, and no XML of train is opened.
    Labels are numbered as :func:`resdet.data.formats.loc_classes.classes_of` says.

    Raises:
        InputError: a missing folder; a val image without annotation or box, or with boxes of two classes; a train
            image in a folder that is no class; whatever :func:`resdet.data.formats.voc_xml.read` raises.
    """
    if split not in LISTS:
        raise InputError(f"{root}: wanted the split {', '.join(LISTS)}, got {split!r}")
    base = base_of(root)
    images = images_of(base, split)
    classes = classes_of(base, _val_classes(base))
    if split == "test":
        return pack(base, classes, (Record(path, -1) for _, path in images))
    labels = {wnid: label for label, wnid in enumerate(classes.ids)}
    source = _no_boxes if labels_alone and split != "val" else _source(base, split)

    def record(image: tuple[str, str]) -> Record:
        name, path = image
        place, found = source(name, labels)
        label = _val_label(place, found, labels) if split == "val" else _train_label(name, labels)
        objects = found.objects if found else ()
        size = (found and found.size) or (0, 0)
        return Record(path, label, [o.box for o in objects], [labels[o.name] for o in objects], size=size)

    return pack(base, classes, read_each(record, images))


def _train_label(name: str, labels: Mapping[str, int]) -> int:
    wnid, _, rest = name.partition("/")
    if not rest or wnid not in labels:
        raise InputError(f"train image {name!r}: wanted '<class>/<name>' with a class of the class list")
    return labels[wnid]


def _val_label(place: str, found: Annotation | None, labels: Mapping[str, int]) -> int:
    if found is None:
        raise InputError(f"{place}: not found; every val image needs an annotation")
    if not found.objects:
        raise InputError(f"{place}: wanted at least one object, a val image takes its class from its boxes")
    first, *others = dict.fromkeys(o.name for o in found.objects)
    if others:
        raise InputError(f"{place}: wanted boxes of one class, got {first!r} and {others[0]!r}")
    return labels[first]


def _source(base: Path, split: str) -> Source:
    source = open_boxes(base, split)
    if source is None and split == "val":
        raise InputError(f"{base}: no boxes of val: wanted Annotations/CLS-LOC/val/*.xml or LOC_val_solution.csv")
    return source or _no_boxes  # train images may do without


def _no_boxes(name: str, classes: Container[str] | None) -> tuple[str, None]:
    return name, None


def _val_classes(base: Path) -> Iterator[str]:
    """The classes of val's boxes, one image after another."""
    source = open_boxes(base, "val")
    if source is None:
        return
    for name, _ in images_of(base, "val"):
        _, found = source(name, None)
        yield from (o.name for o in (found.objects if found else ()))
