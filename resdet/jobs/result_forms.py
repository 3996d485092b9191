"""The text formats of results; each writes one file or a few, which are whole once they are closed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from resdet.data.records import Classes
from resdet.jobs.sources import Source
from resdet.predictions import det_coco, det_devkit, det_voc, devkit, jsonl, kaggle
from resdet.predictions.det import DetPredictions, collect
from resdet.predictions.jsonl import ImageResult
from resdet.predictions.numbering import class_numbers


class JsonLines:
    """``predictions.jsonl``, see :mod:`resdet.predictions.jsonl`; an unreadable image has its error."""

    def __init__(self, folder: Path, classes: Classes) -> None:
        self.names, self._stream = classes.names, _text(folder / "predictions.jsonl")

    def add(self, source: Source, result: ImageResult) -> None:
        self._stream.write(jsonl.format_line(result, self.names))

    def close(self, done: bool) -> None:
        self._stream.close()


class KaggleCsv:
    """``predictions.csv`` in Kaggle's form for localization; an unreadable image has no guess.

    ``numbered``: ``predictions.numbers.csv``, where a class is its line of ``LOC_synset_mapping.txt``, not its WNID.
    """

    def __init__(self, folder: Path, classes: Classes, numbered: bool = False) -> None:
        self.words = kaggle.class_words(classes, numbered)
        self._stream = _text(folder / ("predictions.numbers.csv" if numbered else "predictions.csv"))
        self._stream.write(kaggle.HEADER)

    def add(self, source: Source, result: ImageResult) -> None:
        size = result.width or 1, result.height or 1  # unreadable: nothing to fit into it
        self._stream.write(kaggle.format_line(source.row, result.detections, *size, self.words))

    def close(self, done: bool) -> None:
        self._stream.close()


class LocText:
    """``predictions.txt`` in the development kit's form for localization.

    Its lines come in alphabetical order and have no names, so an incomplete file would be read wrongly: it is written
    at the end, when every image has a result.  An unreadable image has a group of zeros, which is no class.
    """

    def __init__(self, folder: Path, classes: Classes) -> None:
        self.folder, self.numbers = folder, devkit.class_numbers(classes)
        self._lines: dict[str, str] = {}

    def add(self, source: Source, result: ImageResult) -> None:
        size = result.width or 1, result.height or 1
        self._lines[source.row] = devkit.format_line(result.detections, *size, self.numbers)

    def close(self, done: bool) -> None:
        if done:
            lines = (line for _, line in sorted(self._lines.items()))
            (self.folder / "predictions.txt").write_text("".join(lines), encoding="utf-8")


class DetCsv:
    """``predictions.csv``, a row a detection, for spreadsheets: continuous pixels, the best of an image first."""

    HEADER = "file,label,name,score,x1,y1,x2,y2\n"

    def __init__(self, folder: Path, classes: Classes) -> None:
        self.names, self._stream = classes.names, _text(folder / "predictions.csv")
        self._stream.write(self.HEADER)

    def add(self, source: Source, result: ImageResult) -> None:
        found = _found(result)
        rows = zip(found.labels.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(
            [result.file, label, self.names[label], f"{score:.9g}", *box] for label, score, box in rows
        )
        self._stream.write(text.getvalue())

    def close(self, done: bool) -> None:
        self._stream.close()


class DetText:
    """``predictions.txt`` in the development kit's form for detection, and what its numbers mean.

    ``images.txt`` has lines ``name number``, ``classes.txt`` lines ``id number``.
    """

    def __init__(self, folder: Path, classes: Classes) -> None:
        self.numbers, self._stream = class_numbers(classes), _text(folder / "predictions.txt")
        self._images = _text(folder / det_devkit.IMAGES_FILE)
        with _text(folder / det_devkit.CLASSES_FILE) as stream:
            rows = zip(classes.ids, self.numbers.tolist(), strict=True)
            stream.writelines(f"{class_id} {number}\n" for class_id, number in rows)

    def add(self, source: Source, result: ImageResult) -> None:
        self._images.write(f"{source.row} {source.number}\n")
        self._stream.write(det_devkit.format_lines(_found(result), np.array([source.number]), self.numbers))

    def close(self, done: bool) -> None:
        self._stream.close()
        self._images.close()


class CocoJson:
    """``predictions.json``, COCO's results, and ``images.json``: the images and the categories that they number."""

    def __init__(self, folder: Path, classes: Classes) -> None:
        self.numbers = class_numbers(classes)
        categories = [
            {"id": number, "name": name} for number, name in zip(self.numbers.tolist(), classes.names, strict=True)
        ]
        self._results = _JsonList(folder / "predictions.json", "[\n", "\n]\n")
        start = '{"categories": ' + json.dumps(categories, ensure_ascii=False) + ',\n"images": [\n'
        self._images = _JsonList(folder / det_coco.IMAGES_FILE, start, "\n]}\n")

    def add(self, source: Source, result: ImageResult) -> None:
        image: dict[str, Any] = {"id": source.number, "file_name": result.file}
        if result.error is None:
            image |= {"width": result.width, "height": result.height}
        self._images.add([json.dumps(image, ensure_ascii=False)])
        self._results.add(det_coco.format_entries(_found(result), np.array([source.number]), self.numbers))

    def close(self, done: bool) -> None:
        self._results.close()
        self._images.close()


class VocFiles:
    """``predictions/comp4_det_test_<class>.txt`` for each class, as VOC's results; a class without any has its file.

    Raises:
        InputError: a class that cannot be in a file's name.
    """

    def __init__(self, folder: Path, classes: Classes) -> None:
        names = [det_voc.file_name(class_id) for class_id in classes.ids]  # all, before anything is written
        self._files = [folder / "predictions" / name for name in names]
        (folder / "predictions").mkdir(exist_ok=True)
        for file in self._files:
            file.write_text("")

    def add(self, source: Source, result: ImageResult) -> None:
        found = _found(result)
        for label in np.unique(found.labels).tolist():  # no file stays open: there may be more classes than may be open
            with self._files[label].open("a", encoding="utf-8") as stream:
                stream.write(det_voc.format_lines(found[found.labels == label], [source.row]))

    def close(self, done: bool) -> None:
        pass


class _JsonList:
    """A file that is ``start``, entries with commas between them, and ``end``."""

    def __init__(self, file: Path, start: str, end: str) -> None:
        self._stream, self._end, self._between = _text(file), end, ""
        self._stream.write(start)

    def add(self, entries: list[str]) -> None:
        if entries:
            self._stream.write(self._between + ",\n".join(entries))
            self._between = ",\n"

    def close(self) -> None:
        self._stream.write(self._end)
        self._stream.close()


def _found(result: ImageResult) -> DetPredictions:
    """The detections of one image as the files have them, its index 0."""
    return collect([(0, result.detections)])


def _text(file: Path) -> TextIO:
    # a file name that is not UTF-8 holds lone surrogates, which as \udc80 are good JSON and read back the same
    return file.open("w", encoding="utf-8", errors="backslashreplace", newline="")
