"""Our own jsonl, see :mod:`.jsonl`, as detections of a data set."""

from __future__ import annotations

from pathlib import Path

from resdet.data.records import Records
from resdet.predictions.det import DetPredictions, collect
from resdet.predictions.jsonl import results
from resdet.predictions.match import by_name


def read(file: Path, text: str, records: Records) -> DetPredictions:
    """Read a file's ``text``; its lines are matched by file name, an image with an error has no detections.

    Raises:
        InputError: a malformed line, an image without a line, or twice, or unknown.
    """
    names, places, found = [], [], []
    for place, result in results(file, text, records.classes):
        names.append(result.file)
        places.append(place)
        found.append(result.detections)
    images = by_name(records, names, places, file, of_files=True)
    return collect(zip(images.tolist(), found, strict=True))
