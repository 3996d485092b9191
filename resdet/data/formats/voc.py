"""PASCAL VOC, and any set in its layout: one XML an image, boxes that count pixels from 1 and include the last one.

::

    JPEGImages/<name>.jpg        or images/, and .png and the other endings of images
    Annotations/<name>.xml       or annotations/
    ImageSets/Main/<list>.txt    lines "<name>" or, in the lists of one class, "<name> -1|0|1"

Annotations alone are enough: an image that is not there gets the path it would have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from resdet.data.formats import voc_xml
from resdet.data.formats.many_files import read_each
from resdet.data.formats.voc_files import Tree, find_tree, images_of, listed, stems
from resdet.data.formats.voc_xml import Annotation
from resdet.data.records import Classes, Record, Records, pack
from resdet.errors import InputError

Box = tuple[float, float, float, float]


def read(root: Path, split: str) -> Records:
    """Read the images of a list, or ``all`` that have an XML.

    ``difficult`` objects are marked ignored, and so are those whose box has its corners on one column or row of pixels
    (BCCD has two): a click, not an object, that nobody could find again.  Classes are VOC's 20 in their usual order
    where the set has no other, else the names of all its objects, sorted: those of every XML, not of the list's
    alone, so that each list gives a class the same label.

    Raises:
        InputError: a missing folder or list; a listed image without XML, unless no image of the list has one, as in
            the test set of VOC2012, which then has no boxes; what :func:`resdet.data.formats.voc_xml.read` raises.
    """
    tree = find_tree(root)
    annotated = stems(tree.base / tree.annotations, (".xml",))
    names = sorted(annotated) if split == "all" else listed(tree, split, annotated)
    lacking = [name for name in names if name not in annotated]
    if lacking and len(lacking) < len(names):
        raise InputError(
            f"{tree.base / tree.annotations / lacking[0]}.xml: not found, though the list {split!r} has the image "
            f"(so for {len(lacking)} of {len(names)}; only a list without any annotation has no boxes)"
        )
    labels: dict[str, int] = {}  # in the order in which the files have them, for now
    records = pack(tree.base, Classes((), ()), _rows(tree, names, bool(lacking), labels))
    for annotation in _annotations(tree, sorted(set(annotated) - set(names))):
        _number(annotation, labels)
    return _labelled(records, labels)


def _rows(tree: Tree, names: list[str], without: bool, labels: dict[str, int]) -> Iterator[Record]:
    """The records, labelled as ``labels`` numbers the classes, which grows on the way."""
    images = images_of(tree)
    annotations = (Annotation(None, ()) for _ in names) if without else _annotations(tree, names)
    for name, annotation in zip(names, annotations, strict=True):
        path = images.get(name) or images.get(Path(annotation.filename).stem) or f"{name}.jpg"
        objects = annotation.objects
        yield Record(
            f"{tree.images}/{path}",
            -1,
            [o.box for o in objects],
            _number(annotation, labels),
            [o.difficult or _is_a_line(o.box) for o in objects],
            annotation.size or (0, 0),
        )


def _is_a_line(box: Box) -> bool:
    """Whether the first and the last pixel of an axis, which are both inside, are the same one."""
    return box[2] - box[0] <= 1 or box[3] - box[1] <= 1


def _annotations(tree: Tree, names: list[str]) -> Iterator[Annotation]:
    folder = f"{tree.base / tree.annotations}"
    return read_each(lambda name: voc_xml.read(f"{folder}/{name}.xml", first_pixel=1), names)


def _number(annotation: Annotation, labels: dict[str, int]) -> list[int]:
    return [labels.setdefault(o.name, len(labels)) for o in annotation.objects]


def _labelled(records: Records, labels: dict[str, int]) -> Records:
    """The records with the classes in their final order."""
    from resdet.data.lists import voc_names  # here: a set with its own classes needs no other

    ids = voc_names() if labels.keys() <= set(voc_names()) else tuple(sorted(labels))
    final = torch.tensor([ids.index(name) for name in labels], dtype=torch.int64)
    return replace(records, classes=Classes(ids, ids), box_labels=final[records.box_labels].share_memory_())
