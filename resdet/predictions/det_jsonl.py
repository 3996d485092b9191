"""Our own jsonl, see :mod:`.jsonl`, as detections of a data set: it holds images and classes of whatever names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from resdet.data.records import Records
from resdet.predictions.det import DetPredictions, collect
from resdet.predictions.jsonl import ImageResult, format_line, other_size, results
from resdet.predictions.match import by_name
from resdet.structures import Detections


def read(file: Path, text: str, records: Records) -> DetPredictions:
    """Read a file's ``text``; its lines are matched by file name, an image with an error has no detections.

    Raises:
        InputError: a malformed line, an image without a line, or twice, or unknown, or of another size than its
            annotation's.
    """
    names, places, sizes, found = [], [], [], []
    for place, result in results(file, text, records.classes):
        names.append(result.file)
        places.append(place)
        sizes.append([result.width or 0, result.height or 0])
        found.append(result.detections)
    images = by_name(records, names, places, file, of_files=True)
    for annotated, size, place, detections in zip(records.sizes[images].tolist(), sizes, places, found, strict=True):
        if len(detections) and min(annotated) > 0 and size != annotated:
            raise other_size(place, size, annotated)
    return collect(zip(images.tolist(), found, strict=True))


def format_lines(found: DetPredictions, records: Records) -> Iterator[str]:
    """A line for each image of the data set, in order, each with its newline.

    Raises:
        InputError: an image whose annotation does not say its size cannot be read.
    """
    found = found[np.argsort(found.images, kind="stable")]
    ends = np.searchsorted(found.images, np.arange(len(records) + 1))
    boxes, scores = torch.from_numpy(found.boxes).float(), torch.from_numpy(found.scores).float()
    labels = torch.from_numpy(found.labels)
    for index, (width, height) in enumerate(records.whole_sizes().tolist()):
        mine = slice(ends[index], ends[index + 1])
        detections = Detections(boxes[mine], scores[mine], labels[mine])
        result = ImageResult(str(records.file(index)), width, height, detections)
        yield format_line(result, records.classes.names)
