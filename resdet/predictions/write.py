"""Predictions of a whole data set as files: localizations in every form that ILSVRC takes, detections in the set's own.

:mod:`resdet.predictions.read` reads them back equal.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resdet.data.records import Records
from resdet.predictions import det_coco, det_devkit, det_jsonl, det_voc, devkit, kaggle
from resdet.predictions.det import DetPredictions
from resdet.predictions.groups import write
from resdet.predictions.loc import MAX_GUESSES, LocPredictions
from resdet.predictions.match import alphabetical, image_names
from resdet.predictions.numbering import class_numbers, image_numbers

FORMS = {"coco": "coco", "voc": "voc"}  # by the data set's format; any other gets the devkit's text


def write_loc(folder: Path, predictions: LocPredictions, records: Records) -> None:
    """Write ``predictions.txt``, the development kit's text, and Kaggle's CSV in both of its forms.

    ``predictions.csv`` calls a class by its WNID, ``predictions.numbers.csv`` by its line of
    ``LOC_synset_mapping.txt``, see :mod:`resdet.predictions.kaggle`.  All are in alphabetical order of the images'
    names.

    Args:
        folder: is made when it is not there.
        predictions: of ``records``; boxes that are whole pixels, as :func:`resdet.predictions.loc.to_inclusive` makes.
    """
    names = image_names(records).ids
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "predictions.txt").open("w", encoding="utf-8") as text:
        nothing = f"{devkit.NO_GUESS} 0 0 0 0"  # an empty line would not count as one
        numbers = devkit.class_numbers(records.classes)
        text.writelines((_groups(predictions, image, numbers) or nothing) + "\n" for image in alphabetical(names))
    for file, numbered in (("predictions.csv", False), ("predictions.numbers.csv", True)):
        words = kaggle.class_words(records.classes, numbered)
        with (folder / file).open("w", encoding="utf-8", newline="") as table:
            table.write(kaggle.HEADER)
            rows = ([names[image], _groups(predictions, image, words)] for image in alphabetical(names))
            csv.writer(table, lineterminator="\n").writerows(rows)


def write_det(folder: Path, found: DetPredictions, records: Records, form: str) -> Path:
    """Write detections in the form that the data set's own evaluation takes, if that can hold them.

    Args:
        folder: is made when it is not there.
        form: ``coco``: ``predictions.json``; ``voc``: ``comp4_det_test_<class>.txt`` for each class in
            ``predictions/``, or, where :func:`resdet.predictions.det_voc.fault` says that it cannot hold this set's
            names, ``predictions.jsonl``; ``devkit``: ``predictions.txt``, in the order of the images' numbers.

    Returns:
        What was written: the file, or the folder of files.

    Raises:
        InputError: for ``predictions.jsonl``, an image whose annotation does not say its size cannot be read.
        ValueError: another form.
    """
    if form not in ("coco", "voc", "devkit"):
        raise ValueError(f"form must be coco, voc or devkit, got {form!r}")
    folder.mkdir(parents=True, exist_ok=True)
    if form == "voc" and det_voc.fault(records):
        return _write_jsonl(folder / "predictions.jsonl", found, records)
    if form == "voc":
        return _write_voc(folder / "predictions", found, records)
    images, classes = image_numbers(records), class_numbers(records.classes)
    found = found[np.argsort(images[found.images], kind="stable")]
    if form == "coco":
        entries = ",\n".join(det_coco.format_entries(found, images, classes))
        return _write_numbered(folder / "predictions.json", f"[\n{entries}\n]\n", det_coco.IMAGES_FILE)
    lines = det_devkit.format_lines(found, images, classes)
    return _write_numbered(folder / "predictions.txt", lines, det_devkit.IMAGES_FILE, det_devkit.CLASSES_FILE)


def _groups(predictions: LocPredictions, image: int, words: Sequence[object]) -> str:
    """One image's guesses; ``words`` are what each label is called."""
    made = predictions.labels[image, :MAX_GUESSES] >= 0
    labels = predictions.labels[image, :MAX_GUESSES][made]
    boxes = predictions.boxes[image, :MAX_GUESSES][made].astype(int)
    return write([words[label] for label in labels], boxes)


def _write_jsonl(file: Path, found: DetPredictions, records: Records) -> Path:
    with file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        stream.writelines(det_jsonl.format_lines(found, records))  # "\\udc80" is good JSON
    return file


def _write_numbered(file: Path, text: str, *tables: str) -> Path:
    """Write a file whose numbers are the data set's own.

    Args:
        tables: files beside it that would be taken for what its numbers mean; ``tools/infer.py`` may have left them.
    """
    for name in tables:
        file.with_name(name).unlink(missing_ok=True)
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
