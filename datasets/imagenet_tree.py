"""The unpacked tree of ILSVRC CLS-LOC: its lists, its validation images by class, and whether it is whole."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from resdet.data.folder_tree import subfolders
from resdet.data.formats import ilsvrc_loc
from resdet.data.formats.loc_files import files_of
from resdet.data.image_files import ENDINGS
from resdet.data.lists import devkit_ids, imagenet_wnids
from resdet.errors import InputError
from resdet.whole_file import replacing

# by the development kit's readme (ILSVRC2015)
TRAIN, VAL, TEST = 1_281_167, 50_000, 100_000
TRAIN_EACH, VAL_EACH = (732, 1300), 50  # images a class


def images_of(base: Path, split: str) -> dict[str, str]:
    """From the name of an image of ``val`` or ``test`` to its path in ``Data/CLS-LOC/<split>``."""
    return files_of(base / "Data" / "CLS-LOC" / split, ENDINGS, split)


def has_images(base: Path, split: str) -> bool:
    """Whether there is a file in ``Data/CLS-LOC/<split>``."""
    return any(path.is_file() for path in (base / "Data" / "CLS-LOC" / split).rglob("*"))


def write_lists(base: Path) -> None:
    """``train_cls``, ``train_loc`` (images with an annotation), ``val`` and ``test``, of what is there."""
    train: dict[str, list[str]] = {"train_cls": [], "train_loc": []}
    for wnid in subfolders(base / "Data" / "CLS-LOC" / "train"):
        images = sorted(_stems(base / "Data" / "CLS-LOC" / "train" / wnid, ENDINGS))
        boxed = _stems(base / "Annotations" / "CLS-LOC" / "train" / wnid, (".xml",))
        train["train_cls"] += [f"{wnid}/{image}" for image in images]
        train["train_loc"] += [f"{wnid}/{image}" for image in images if image in boxed]
    for name, listed in (train | {split: sorted(images_of(base, split)) for split in ("val", "test")}).items():
        if listed:
            file = base / "ImageSets" / "CLS-LOC" / f"{name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"{image} {number}\n" for number, image in enumerate(listed, 1)]
            with replacing(file) as part:
                part.write_text("".join(lines), encoding="utf-8")


def _stems(folder: Path, endings: tuple[str, ...]) -> set[str]:
    """The names without ending of the files in a folder; none where it does not exist."""
    names = (os.path.splitext(name) for name in os.listdir(folder)) if folder.is_dir() else ()
    return {stem for stem, ending in names if ending.lower() in endings}


def classes_by_list(lines: Sequence[str], place: str) -> dict[str, str]:
    """From a validation image's name to its WNID, by a line of the development kit's ground truth for each image.

    The numbers are the kit's, 1 to 1000, which are not in the order of the WNIDs.

    Raises:
        InputError: not one number of 1 to 1000 for each of the 50,000 images.
    """
    wnids = {str(number): wnid for wnid, number in devkit_ids().items()}
    numbers = [line.strip() for line in lines if line.strip()]
    if len(numbers) != VAL:
        raise InputError(f"{place}: wanted {VAL} lines, one for each image of val, got {len(numbers)}")
    for at, number in enumerate(numbers, 1):
        if number not in wnids:
            raise InputError(f"{place}:{at}: wanted a number of the development kit's, 1 to 1000, got {number!r}")
    return {f"ILSVRC2012_val_{at:08d}": wnids[number] for at, number in enumerate(numbers, 1)}


def classes_by_boxes(root: Path) -> dict[str, str]:
    """The same from the annotations of the images that are there.

    Raises:
        InputError: as :func:`resdet.data.formats.ilsvrc_loc.read`.
    """
    records = ilsvrc_loc.read(root, "val")
    return {
        name: records.classes.ids[label] for name, label in zip(records.names(), records.labels.tolist(), strict=True)
    }


def sort_val(base: Path, classes: dict[str, str]) -> int:
    """Move the validation images that lie flat into folders of their classes; how many were moved.

    Raises:
        InputError: one whose class is not known; none is moved then.
    """
    folder = base / "Data" / "CLS-LOC" / "val"
    flat = {name: path for name, path in images_of(base, "val").items() if "/" not in path}
    if unknown := sorted(set(flat) - set(classes)):
        raise InputError(f"{folder / flat[unknown[0]]}: its class is not known (so of {len(unknown)})")
    for name, path in flat.items():
        (folder / classes[name]).mkdir(exist_ok=True)
        (folder / path).rename(folder / classes[name] / path)
    return len(flat)


def faults(base: Path, val_classes: dict[str, str]) -> list[str]:
    """What is missing, a line each; test images may be missing altogether.

    Args:
        val_classes: from a validation image's name to its class; none: their numbers a class are not looked at.
    """
    found = _faults_of_train(base)
    val, test = images_of(base, "val"), images_of(base, "test")
    if len(val) != VAL:
        found.append(f"val: wanted {VAL} images, there are {len(val)}")
    elif val_classes:
        each = Counter(val_classes[name] for name in val if name in val_classes)
        found += [
            f"val: wanted {VAL_EACH} of {w}, there are {each[w]}" for w in imagenet_wnids() if each[w] != VAL_EACH
        ]
    if test and len(test) != TEST:
        found.append(f"test: wanted {TEST} images, there are {len(test)}")
    boxes = files_of(base / "Annotations" / "CLS-LOC" / "val", (".xml",), "val")
    if len(boxes) != VAL:
        found.append(f"annotations of val: wanted {VAL}, there are {len(boxes)}")
    there = set(subfolders(base / "Annotations" / "CLS-LOC" / "train"))
    if without := [wnid for wnid in imagenet_wnids() if wnid not in there]:
        found.append(f"annotations of train: none of {len(without)} classes, the first is {without[0]}")
    return found


def _faults_of_train(base: Path) -> list[str]:
    folder = base / "Data" / "CLS-LOC" / "train"
    each = Counter({wnid: len(_stems(folder / wnid, ENDINGS)) for wnid in subfolders(folder)})
    low, high = TRAIN_EACH
    found = [f"train: {wnid} is no class of ImageNet's" for wnid in sorted(set(each) - set(imagenet_wnids()))]
    if missing := [wnid for wnid in imagenet_wnids() if not each[wnid]]:
        found.append(f"train: no images of {len(missing)} classes, the first is {missing[0]}")
    wrong = [(wnid, count) for wnid, count in sorted(each.items()) if not low <= count <= high]
    found += [f"train: wanted {low} to {high} images of {wnid}, there are {count}" for wnid, count in wrong]
    if each.total() != TRAIN:
        found.append(f"train: wanted {TRAIN} images, there are {each.total()}")
    return found
