"""The ILSVRC development kit's LOC text: one line an image in alphabetical order, groups ``id x1 y1 x2 y2``."""

from __future__ import annotations

from pathlib import Path

from resdet.data.lists import devkit_ids, imagenet_wnids
from resdet.data.records import Classes, Records
from resdet.errors import InputError
from resdet.predictions.groups import MISSING, first_guesses, parse, write
from resdet.predictions.loc import LocPredictions, to_inclusive
from resdet.predictions.match import alphabetical, image_names, reorder
from resdet.structures import Detections

NO_GUESS = 0  # dlmread pads short lines with 0, which is no class and so never right


def class_numbers(classes: Classes) -> tuple[int, ...]:
    """The number each label has in a devkit file: ILSVRC's own for its 1000 classes, else the place in the list."""
    if set(classes.ids) == set(imagenet_wnids()):
        ids = devkit_ids()
        return tuple(ids[wnid] for wnid in classes.ids)
    return tuple(range(1, len(classes) + 1))


def format_line(detections: Detections, width: int, height: int, numbers: tuple[int, ...]) -> str:
    """One image's line, with its newline; ``numbers`` are :func:`class_numbers`.

    The lines of a file must come in alphabetical order of the images' names.  An image without detections is
    one group of zeros: MATLAB's ``dlmread`` skips an empty line, and every later image would be taken for another.
    """
    kept = first_guesses(detections)
    if not len(kept):
        return f"{NO_GUESS} 0 0 0 0\n"
    words = [numbers[label] for label in kept.labels.tolist()]
    return write(words, to_inclusive(kept.boxes, width, height)) + "\n"


def read(file: Path, text: str, records: Records) -> LocPredictions:
    """Read a file's ``text``; its lines belong to the records in alphabetical order of their names.

    Raises:
        InputError: another number of lines than images, or a malformed line.
    """
    lines = text.replace(",", " ").splitlines()  # dlmread takes either, and dlmwrite's own choice is the comma
    while len(lines) > len(records) and not lines[-1].strip():
        lines.pop()
    if len(lines) != len(records):
        raise InputError(f"{file}: wanted a line for each of the {len(records)} images, got {len(lines)} lines")
    labels = {str(number): label for label, number in enumerate(class_numbers(records.classes))}
    labels[str(NO_GUESS)] = MISSING
    predictions = parse(lines, [f"{file}:{n}" for n in range(1, len(lines) + 1)], labels)
    return reorder(predictions, alphabetical(image_names(records).ids))
