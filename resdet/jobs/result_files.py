"""The files that the results of one run go into, in all the forms that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol

from resdet.data.image_files import ImageFile
from resdet.data.records import Classes
from resdet.errors import UsageError
from resdet.jobs import result_forms as forms_of_text
from resdet.jobs.folder import Found
from resdet.jobs.result_pictures import Pictures, check_apart
from resdet.jobs.sources import Source, Sources
from resdet.predictions.jsonl import ImageResult


class Form(Protocol):
    """One form of output."""

    def add(self, source: Source, result: ImageResult) -> None:
        """Take in what came of one image or frame."""

    def close(self, done: bool) -> None:
        """The last one was taken in; ``done``: of all that there were."""


PICTURES = "images"
FORMS: dict[str, dict[str, Callable[[Path, Classes], Form]]] = {
    "loc": {
        "jsonl": forms_of_text.JsonLines,
        "csv": forms_of_text.KaggleCsv,
        "csv-numbers": partial(forms_of_text.KaggleCsv, numbered=True),
        "devkit": forms_of_text.LocText,
    },
    "det": {
        "jsonl": forms_of_text.JsonLines,
        "csv": forms_of_text.DetCsv,
        "coco": forms_of_text.CocoJson,
        "voc": forms_of_text.VocFiles,
        "devkit": forms_of_text.DetText,
    },
}
DRAW_ABOVE = {"loc": 0.0, "det": 0.5}  # scores: a detector's answers from 0.05 on are for its evaluation


def read_forms(words: str, task: str) -> tuple[str, ...]:
    """The forms of output that ``jsonl,images`` and the like ask for.

    Args:
        task: ``"loc"`` or ``"det"``.

    Raises:
        UsageError: an unknown one, or one that is made for detection where weights localize.
    """
    known = (*FORMS[task], PICTURES)
    forms = tuple(word.strip() for word in words.split(","))
    for form in forms:
        if task == "loc" and form in FORMS["det"] and form not in known:
            raise UsageError(f"--format {form} is made for detection, these weights localize: {', '.join(known)}")
        if form not in known:
            raise UsageError(f"--format {form!r}: wanted some of {', '.join(known)}, with commas between them")
    return forms


class ResultFiles:
    """The files of one run, for use in ``with``: results are added in their order.

    See :mod:`resdet.jobs.result_forms` and :mod:`resdet.jobs.result_pictures` for what is in each.

    Args:
        folder: is made when it is not there; files of an earlier run are replaced.
        forms: what :func:`read_forms` gives for this ``task``.
        files: what was asked for.
        draw_above: least score of what is drawn; None: that of :data:`DRAW_ABOVE`.

    Raises:
        UsageError: an input lies where pictures would be written, or has a name that VOC's files cannot hold.
        InputError: a class has a name that VOC's files cannot have.
    """

    def __init__(
        self,
        folder: Path,
        forms: Sequence[str],
        files: Sequence[ImageFile],
        classes: Classes,
        task: str,
        draw_above: float | None = None,
    ) -> None:
        self._sources = Sources(files, folder / PICTURES)
        if PICTURES in forms:
            check_apart(files, folder / PICTURES)
        if "voc" in forms:
            self._sources.check_one_word()
        folder.mkdir(parents=True, exist_ok=True)
        self._forms: list[Form] = [FORMS[task][form](folder, classes) for form in FORMS[task] if form in forms]
        if PICTURES in forms:
            self._forms.append(Pictures(classes, DRAW_ABOVE[task] if draw_above is None else draw_above))

    def add(self, found: Found) -> None:
        """Write what came of an image or a frame."""
        source = self._sources.next(found.file, found.frame)
        for form in self._forms:
            form.add(source, found.result)

    def __enter__(self) -> ResultFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for form in self._forms:
            form.close(done=kind is None)
