"""Localization predictions of a whole data set, written in the forms that ILSVRC takes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from resdet.data.records import Records
from resdet.predictions import devkit, kaggle
from resdet.predictions.groups import write
from resdet.predictions.loc import MAX_GUESSES, LocPredictions
from resdet.predictions.match import alphabetical, image_names


def write_loc(folder: Path, predictions: LocPredictions, records: Records) -> None:
    """Write ``predictions.txt``, the development kit's text, and Kaggle's CSV in both of its forms.

    ``predictions.csv`` calls a class by its WNID, ``predictions.numbers.csv`` by its line of
    ``LOC_synset_mapping.txt``, see :mod:`resdet.predictions.kaggle`.  All are in alphabetical order of the images'
    names; :func:`resdet.predictions.read.read_loc` reads them back equal.

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


def _groups(predictions: LocPredictions, image: int, words: Sequence[object]) -> str:
    """One image's guesses; ``words`` are what each label is called."""
    made = predictions.labels[image, :MAX_GUESSES] >= 0
    labels = predictions.labels[image, :MAX_GUESSES][made]
    boxes = predictions.boxes[image, :MAX_GUESSES][made].astype(int)
    return write([words[label] for label in labels], boxes)
