"""Detections of a whole data set, written in the form that the set's own evaluation takes, if it can hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from resdet.data.records import Records
from resdet.predictions import det_coco, det_devkit, det_jsonl, det_voc
from resdet.predictions.det import DetPredictions
from resdet.predictions.match import image_names
from resdet.predictions.numbering import class_numbers, image_numbers

FORMS = {"coco": "coco", "voc": "voc"}  # by the data set's format; any other gets the devkit's text


def write_det(folder: Path, found: DetPredictions, records: Records, form: str) -> Path:
    """Write detections so that :func:`resdet.predictions.read.read_det` reads them back equal.

    Args:
        folder: is made when it is not there.
        form: ``coco``: ``predictions.json``; ``voc``: ``comp4_det_test_<class>.txt`` for each class in
            ``predictions/``, or, where :func:`resdet.predictions.det_voc.fault` says that it cannot hold this set's
            names, ``predictions.jsonl``; ``devkit``: ``predictions.txt``, in the order of the images' numbers.

    Returns:
        What was written: the file, or the folder of files.

    Raises:
        InputError: for ``predictions.jsonl``, an image whose annotation does not say its size cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if form == "voc":
        if det_voc.fault(records):
            return _write_jsonl(folder / "predictions.jsonl", found, records)
        return _write_voc(folder / "predictions", found, records)
    images, classes = image_numbers(records), class_numbers(records.classes)
    found = found[np.argsort(images[found.images], kind="stable")]
    if form == "coco":
        file, text = folder / "predictions.json", _as_list(det_coco.format_entries(found, images, classes))
        beside = [det_coco.IMAGES_FILE]
    else:
        beside = [det_devkit.IMAGES_FILE, det_devkit.CLASSES_FILE]
        file, text = folder / "predictions.txt", det_devkit.format_lines(found, images, classes)
    for name in beside:  # they say what numbers meant in the file that goes
        (folder / name).unlink(missing_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def _write_voc(folder: Path, found: DetPredictions, records: Records) -> Path:
    names = image_names(records).ids
    folder.mkdir(exist_ok=True)
    for earlier in folder.glob(det_voc.FILE_NAME.format("*")):  # of other classes they would be read with these
        earlier.unlink()
    for label, class_id in enumerate(records.classes.ids):
        file = det_voc.file_name(class_id)
        (folder / file).write_text(det_voc.format_lines(found[found.labels == label], names), encoding="utf-8")
    return folder


def _write_jsonl(file: Path, found: DetPredictions, records: Records) -> Path:
    with file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:  # "\\udc80" is good JSON
        stream.writelines(det_jsonl.format_lines(found, records))
    return file


def _as_list(entries: list[str]) -> str:
    return "[\n" + ",\n".join(entries) + "\n]\n"
