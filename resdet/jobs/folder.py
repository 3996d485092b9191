"""A localizer over files of any kind: one result an image, bad ones included, and the files that results go into."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TextIO

from torch import Tensor

from resdet.data.image import load_image
from resdet.data.image_files import ImageFile, picture_names, row_ids
from resdet.data.loading import ViewedImages, view_loader
from resdet.data.records import Classes
from resdet.errors import UsageError
from resdet.inference.loc import Located, LocProtocol, locate
from resdet.jobs.trained import RunOptions
from resdet.models.localizer import Localizer
from resdet.predictions import devkit, jsonl, kaggle
from resdet.predictions.jsonl import ImageResult, failed
from resdet.progress import follow
from resdet.report import pictures
from resdet.structures import Detections

FORMS = ("jsonl", "csv", "devkit", "images")
OF_DETECTION = ("coco", "voc")


def read_forms(words: str) -> tuple[str, ...]:
    """The forms of output that ``jsonl,images`` and the like ask for.

    Raises:
        UsageError: an unknown one, or one that is made for detection.
    """
    forms = tuple(word.strip() for word in words.split(","))
    for form in forms:
        if form in OF_DETECTION:
            raise UsageError(f"--format {form} is made for detection, these weights localize: {', '.join(FORMS)}")
        if form not in FORMS:
            raise UsageError(f"--format {form!r}: wanted some of {', '.join(FORMS)}, with commas between them")
    return forms


def viewed(files: Sequence[ImageFile], protocol: LocProtocol) -> ViewedImages:
    """The files as a loader takes them; one that cannot be read is no exception there but an answer."""
    return ViewedImages([f.file for f in files].__getitem__, len(files), protocol.views, skip_bad=True)


def localize(
    model: Localizer,
    files: Sequence[ImageFile],
    protocol: LocProtocol,
    how: RunOptions,
    *,
    guesses: tuple[Tensor, Tensor] | None = None,
    top_k: int = 5,
    score_threshold: float = 0.0,
) -> Iterator[ImageResult]:
    """What is in each file, in order; a file that cannot be read has an ``error``.

    A detection's score is the probability of its class: the localizer draws one box for each.  A batch at a time is
    in memory.

    Args:
        guesses: classes from a second network, see :func:`resdet.jobs.second_classifier.second_guesses`.
        top_k: classes an image, the most probable first, at most those that ``locate`` answers.
        score_threshold: classes that are less probable are left out.
    """
    batches = view_loader(viewed(files, protocol), how.batch_size, how.workers)
    shown = follow(batches, len(batches), "localize")
    for answer in locate(model, shown, protocol, how.device, how.precision, guesses=guesses):
        yield _result(answer, str(files[answer.index].file), top_k, score_threshold)


def _result(answer: Located, file: str, top_k: int, score_threshold: float) -> ImageResult:
    if answer.error is not None:
        return failed(file, answer.error)
    every = Detections(answer.boxes.float(), answer.class_scores.float(), answer.labels)
    best = every[every.scores.argsort(descending=True, stable=True)[:top_k]]
    return ImageResult(file, answer.width, answer.height, best[best.scores >= score_threshold])


class ResultFiles:
    """The files of one run, for use in ``with``: results are added in the order of ``files``.

    ``predictions.jsonl`` and ``predictions.csv`` (Kaggle's form) are whole after every image.  ``predictions.txt``
    (the development kit's) has its lines in alphabetical order and no names, so a part of it would be read as
    something else: it is written at the end, when every image has a result.  An image that could not be read has its
    error in the jsonl, no guess in the csv, and in the text a group of zeros, which is no class.
    ``images/<relative path>.jpg`` are pictures with boxes and names.

    Args:
        folder: is made when it is not there; files of an earlier run are replaced.
        forms: some of :data:`FORMS`.

    Raises:
        UsageError: an input lies where pictures would be written.
    """

    def __init__(self, folder: Path, forms: Iterable[str], files: Sequence[ImageFile], classes: Classes) -> None:
        self.folder, self.forms, self.files, self.classes = folder, frozenset(forms), files, classes
        names = [file.name for file in files]
        self._ids = row_ids(names)
        self._pictures = [folder / "images" / name for name in picture_names(names)]
        self._numbers, self._words = devkit.class_numbers(classes), kaggle.class_words(classes)
        self._devkit_lines: dict[str, str] = {}  # by id
        if "images" in self.forms:
            _check_apart(files, folder / "images")
        self._open = ExitStack()
        folder.mkdir(parents=True, exist_ok=True)
        self._jsonl = self._text("jsonl", "predictions.jsonl")
        self._csv = self._text("csv", "predictions.csv")
        if self._csv:
            self._csv.write(kaggle.HEADER)

    def add(self, index: int, result: ImageResult) -> None:
        """Write what came of ``files[index]``."""
        image_id, found = self._ids[index], result.detections
        width, height = result.width or 1, result.height or 1  # unreadable: nothing to fit into it
        if self._jsonl:
            self._jsonl.write(jsonl.format_line(result, self.classes.names))
            self._jsonl.flush()
        if self._csv:
            self._csv.write(kaggle.format_line(image_id, found, width, height, self._words))
            self._csv.flush()
        if "devkit" in self.forms:
            self._devkit_lines[image_id] = devkit.format_line(found, width, height, self._numbers)
        if "images" in self.forms and result.error is None:
            image = load_image(self.files[index].file)  # again: to keep a batch of whole photographs would take GBs
            pictures.save(self._pictures[index], pictures.draw(image, found, self.classes.names))

    def __enter__(self) -> ResultFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        if "devkit" in self.forms and len(self._devkit_lines) == len(self.files):
            lines = (line for _, line in sorted(self._devkit_lines.items()))
            (self.folder / "predictions.txt").write_text("".join(lines), encoding="utf-8")

    def _text(self, form: str, name: str) -> TextIO | None:
        if form not in self.forms:
            return None
        # a file name that is not UTF-8 holds lone surrogates, which as \udc80 are good JSON and read back the same
        stream = (self.folder / name).open("w", encoding="utf-8", errors="backslashreplace", newline="")
        return self._open.enter_context(stream)


def _check_apart(files: Sequence[ImageFile], folder: Path) -> None:
    """Pictures must neither replace the photographs they are drawn from nor be taken for some at the next run."""
    inside = os.path.abspath(folder) + os.sep
    for file in files:
        if os.path.abspath(file.file).startswith(inside):
            raise UsageError(f"{file.file}: lies in {folder}, where pictures are written: choose another --out")
