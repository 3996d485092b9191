"""ILSVRC DET, 200 classes, in the layout of the ILSVRC2015 archive.

::

    [ILSVRC/]Data/DET/train/ILSVRC2013_train/<wnid>/<name>.JPEG, Data/DET/train/ILSVRC2014_train_0000/<name>.JPEG, ...
    [ILSVRC/]Data/DET/{val,test}/<name>.JPEG
    [ILSVRC/]Annotations/DET/{train/<as above>.xml, val/<name>.xml}
    [ILSVRC/]ImageSets/DET/{train_1.txt .. train_200.txt, val.txt, test.txt}

``train_<k>.txt`` has lines ``<path without ending> <label>``: 1 where all instances of the class with devkit id ``k``
have boxes, 0 where some have, -1 where there is none; ``val.txt`` and ``test.txt`` have ``<name> <index>``.
Annotations and lists are enough: no image is looked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from resdet.data.formats import voc_xml
from resdet.data.formats.many_files import read_each
from resdet.data.formats.named_files import inside, numbered_lines
from resdet.data.records import Classes, Record, Records, pack
from resdet.errors import InputError

LAYOUT = "Data/DET, Annotations/DET and ImageSets/DET, or ILSVRC/ that holds these"
SPLITS = ("train", "train_all", "val", "val1", "val2", "test")
IMAGES_OF_A_CLASS = 1000  # in `train`; Girshick et al., R-CNN's tech report, Sec. 4.2: 0, 500 and 1000 were tried

Images = dict[str, int]  # from "val/<name>" or "train/<path>", without ending, to the image's index, -1 without one


def read(root: Path, split: str) -> Records:
    """Read ``train``, ``train_all``, ``val``, ``val1``, ``val2``, ``test``, or a sum such as ``train+val1``.

    ``train`` is R-CNN's balanced part: of each class up to :data:`IMAGES_OF_A_CLASS` images of label 1, drawn with
    the class's devkit id as seed.  ``train_all`` is every image of the lists, whatever its label.  ``val1`` and
    ``val2`` are R-CNN's halves of val.  An image that is listed several times is one image.  An image without XML, or
    with one without objects, has no boxes.  Labels are devkit ids less one; an image of val or test has its index as
    number.

    Raises:
        InputError: an unknown split; a missing folder or list; a line of another form; what
            :func:`resdet.data.formats.voc_xml.read` raises.
    """
    from resdet.data.lists import det_names, det_wnids

    base = base_of(root)
    images: Images = {}
    for part in parts_of(root, split):
        images |= images_of(base, part)
        _check_annotated(base, part)
    wnids = det_wnids()
    classes = Classes(wnids, det_names(), tuple(range(1, len(wnids) + 1)))
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    return pack(base, classes, read_each(lambda image: _record(base, *image, labels), list(images.items())))


def _record(base: Path, name: str, number: int, labels: dict[str, int]) -> Record:
    path, file = f"Data/DET/{name}.JPEG", f"{base}/Annotations/DET/{name}.xml"
    if not os.path.exists(file):
        return Record(path, -1, number=number)
    size, objects, _ = voc_xml.read(file, first_pixel=0, classes=labels)
    return Record(path, -1, [o.box for o in objects], [labels[o.name] for o in objects], None, size or (0, 0), number)


def parts_of(root: Path, split: str) -> list[str]:
    """The :data:`SPLITS` of a sum; InputError: one of them is unknown."""
    parts = split.split("+")
    if not set(parts) <= set(SPLITS):
        raise InputError(f"{root}: wanted {', '.join(SPLITS)} or a sum as in train+val1, got {split!r}")
    return parts


def base_of(root: Path) -> Path:
    """The folder that holds ``Data``, ``Annotations``, ``ImageSets``: ``root`` or ``root/ILSVRC``."""
    for base in (root, root / "ILSVRC"):
        if any((base / kind / "DET").is_dir() for kind in ("Data", "Annotations", "ImageSets")):
            return base
    raise InputError(f"{root}: wanted a folder with {LAYOUT}")


def _check_annotated(base: Path, part: str) -> None:
    """That single images have no XML is as it should be; that none has is not."""
    folder = base / "Annotations" / "DET" / ("train" if part.startswith("train") else "val")
    if part != "test" and not folder.is_dir():
        raise InputError(f"{folder}: not found; the boxes of {part} are there")


def images_of(base: Path, part: str) -> Images:
    """The images of one of :data:`SPLITS`."""
    if part == "train_all":
        return {f"train/{name}": -1 for class_id in range(1, 201) for name, _ in _train_list(base, class_id)}
    if part == "train":
        return {f"train/{name}": -1 for class_id in range(1, 201) for name in _drawn(base, class_id)}
    if part in ("val1", "val2"):
        return _half(base, part)
    return {f"{part}/{name}": index for name, index in _indexed(_lists(base) / f"{part}.txt")}


def _drawn(base: Path, class_id: int) -> list[str]:
    """The images of a class in ``train``, in the order of its list."""
    complete = [name for name, label in _train_list(base, class_id) if label == "1"]
    drawn = np.random.default_rng(class_id).permutation(len(complete))[:IMAGES_OF_A_CLASS]
    return [complete[i] for i in sorted(drawn.tolist())]


def _train_list(base: Path, class_id: int) -> Iterator[tuple[str, str]]:
    file = _lists(base) / f"train_{class_id}.txt"
    for number, line in numbered_lines(file, "lines '<path> <label>'; DET has train_1.txt to train_200.txt"):
        words = line.split()
        if len(words) != 2 or words[1] not in ("1", "0", "-1"):
            raise InputError(f"{file}:{number}: wanted '<path> 1|0|-1', got {line!r}")
        yield inside(words[0], f"{file}:{number}"), words[1]


def _half(base: Path, part: str) -> Images:
    """The images of ``val1`` or ``val2`` with their index in val, as far as ``val.txt`` is there to tell it.

    R-CNN's own files of these names have a second column too: the line's number, which is no index.
    """
    from resdet.data.lists import det_val_half

    file, val = _lists(base) / f"{part}.txt", _lists(base) / "val.txt"
    if file.is_file():
        names = [inside(line.split()[0], f"{file}:{n}") for n, line in numbered_lines(file, "lines '<name>'")]
    else:
        names = list(det_val_half(part))
    if not val.is_file():
        return {f"val/{name}": -1 for name in names}
    index_of = dict(_indexed(val))
    lacking = next((name for name in names if name not in index_of), None)
    if lacking is not None:
        raise InputError(f"{val}: wanted all images of {part}, {lacking!r} is not there")
    return {f"val/{name}": index_of[name] for name in names}


def _indexed(file: Path) -> Iterator[tuple[str, int]]:
    for number, line in numbered_lines(file, "lines '<name> <index>'"):
        name, *index = line.split()
        if len(index) > 1 or not all(word.isdecimal() and len(word) < 10 for word in index):
            raise InputError(f"{file}:{number}: wanted '<name> <index>', got {line!r}")
        yield inside(name, f"{file}:{number}"), int(index[0]) if index else number


def _lists(base: Path) -> Path:
    return base / "ImageSets" / "DET"
