"""Detections of a whole data set, written in the form that the set's own evaluation takes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from resdet.data.records import Records
from resdet.errors import InputError
from resdet.predictions import det_coco, det_devkit, det_voc
from resdet.predictions.det import DetPredictions
from resdet.predictions.numbering import class_numbers, image_numbers

FORMS = {"coco": "coco", "voc": "voc"}  # by the data set's format; any other gets the devkit's text


def write_det(folder: Path, found: DetPredictions, records: Records, form: str) -> Path:
    """Write detections so that :func:`resdet.predictions.read.read_det` reads them back equal.

    Args:
        folder: is made when it is not there.
        form: ``coco``: ``predictions.json``; ``voc``: ``comp4_det_test_<class>.txt`` for each class in
            ``predictions/``; ``devkit``: ``predictions.txt``, in the order of the images' numbers.

    Returns:
        What was written: the file, or the folder of files.

    Raises:
        InputError: VOC's form, and a class that cannot be in a file's name or an image with a space in its own
            or with that of another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if form == "voc":
        return _write_voc(folder / "predictions", found, records)
    images, classes = image_numbers(records), class_numbers(records.classes)
    found = found[np.argsort(images[found.images], kind="stable")]
    if form == "coco":
        file, text = folder / "predictions.json", _as_list(det_coco.format_entries(found, images, classes))
        (folder / det_coco.IMAGES_FILE).unlink(missing_ok=True)  # it says what numbers meant in the file that goes
    else:
        file, text = folder / "predictions.txt", det_devkit.format_lines(found, images, classes)
    file.write_text(text, encoding="utf-8")
    return file


def _write_voc(folder: Path, found: DetPredictions, records: Records) -> Path:
    names = records.names()
    if broken := next((name for name in names if len(name.split()) != 1), None):
        raise InputError(f"{records.root}: image {broken!r}: VOC's form takes no spaces in names")
    if twice := next((name for name, times in Counter(names).items() if times > 1), None):  # of sets that were joined
        raise InputError(f"{records.root}: two images are called {twice!r}: VOC's form could not tell them apart")
    files = [det_voc.file_name(class_id) for class_id in records.classes.ids]  # all, before anything is written
    folder.mkdir(exist_ok=True)
    for earlier in folder.glob(det_voc.FILE_NAME.format("*")):  # of other classes they would be read with these
        earlier.unlink()
    for label, file in enumerate(files):
        (folder / file).write_text(det_voc.format_lines(found[found.labels == label], names), encoding="utf-8")
    return folder


def _as_list(entries: list[str]) -> str:
    return "[\n" + ",\n".join(entries) + "\n]\n"
