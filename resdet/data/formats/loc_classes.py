"""Which classes a set in ILSVRC's CLS-LOC layout has, and in which order they are labelled."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from resdet.data.folder_tree import subfolders
from resdet.data.formats.loc_files import find_beside
from resdet.data.formats.named_files import numbered_lines
from resdet.data.records import Classes
from resdet.errors import InputError

MAPPING = "LOC_synset_mapping.txt"


def classes_of(base: Path, val_classes: Iterable[str]) -> Classes:
    """The classes that ``LOC_synset_mapping.txt`` lists, in its order.

    Without that file, the class folders tell, or else ``val_classes`` (read only as far as needed): if they are
    ImageNet's, or there are none, its 1000 sorted WNIDs, the same whichever split is read; else the classes found,
    sorted.  One class of ImageNet is enough, so that a slip in one annotation cannot renumber the rest.
    """
    from resdet.data.lists import imagenet_names, imagenet_wnids  # here: a set with its own list needs no other

    mapping = find_beside(base, MAPPING)
    if mapping:
        classes = _read_mapping(mapping)
        # first synonyms of ImageNet are not all different (crane, maillot): its own list's are
        return Classes(classes.ids, imagenet_names()) if classes.ids == imagenet_wnids() else classes
    imagenet, found = set(imagenet_wnids()), set()
    for name in _folder_classes(base) or val_classes:
        if name in imagenet:
            return Classes(imagenet_wnids(), imagenet_names())
        found.add(name)
    ids = tuple(sorted(found))
    return Classes(ids, ids) if ids else Classes(imagenet_wnids(), imagenet_names())


def _read_mapping(file: Path) -> Classes:
    """Lines ``<id> name, synonym, ...``, as Kaggle ships them, or ``<id> : name, synonym``; the name may lack."""
    ids, names = [], []
    for number, line in numbered_lines(file, "lines '<id> <name>'"):
        wnid, _, name = line.replace("\t", " ").partition(" ")
        if wnid in ids:
            raise InputError(f"{file}:{number}: class {wnid!r} is listed twice")
        ids.append(wnid)
        names.append(name.strip().removeprefix(":").split(",")[0].strip() or wnid)
    if not ids:
        raise InputError(f"{file}: wanted lines '<id> <name>', the file is empty")
    return Classes(tuple(ids), tuple(names))


def _folder_classes(base: Path) -> list[str]:
    places = ("Data/CLS-LOC/train", "Annotations/CLS-LOC/train", "Data/CLS-LOC/val")
    return next((found for found in (subfolders(base / place) for place in places) if found), [])
