"""Localization predictions of a whole data set, written in the forms that ILSVRC takes."""

from __future__ import annotations

import csv
from pathlib import Path

from resdet.data.records import Records
from resdet.predictions import devkit, kaggle
from resdet.predictions.groups import write
from resdet.predictions.loc import MAX_GUESSES, LocPredictions
from resdet.predictions.match import alphabetical


def write_loc(folder: Path, predictions: LocPredictions, records: Records) -> None:
    """Write ``predictions.txt``, the development kit's text, and ``predictions.csv``, Kaggle's.

    Both are in alphabetical order of the images' names; :func:`resdet.predictions.read.read_loc` reads them back
    equal.

    Args:
        folder: is made when it is not there.
        predictions: of ``records``; boxes that are whole pixels, as :func:`resdet.predictions.loc.to_inclusive` makes.
    """
    numbers, words, names = devkit.class_numbers(records.classes), kaggle.class_words(records.classes), records.names()
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "predictions.txt").open("w", encoding="utf-8") as text,
        (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as table,
    ):
        table.write(kaggle.HEADER)
        rows = csv.writer(table, lineterminator="\n")
        for image in alphabetical(names):
            made = predictions.labels[image, :MAX_GUESSES] >= 0
            labels = predictions.labels[image, :MAX_GUESSES][made]
            boxes = predictions.boxes[image, :MAX_GUESSES][made].astype(int)
            nothing = f"{devkit.NO_GUESS} 0 0 0 0"  # an empty line would not count as one
            text.write((write([numbers[label] for label in labels], boxes) or nothing) + "\n")
            rows.writerow([names[image], write([words[label] for label in labels], boxes)])
