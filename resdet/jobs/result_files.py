"""The files that the results of one run go into, in all the forms that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from resdet.data.image_files import ImageFile
from resdet.data.records import Classes
from resdet.errors import UsageError
from resdet.jobs import result_forms as forms_of_text
from resdet.jobs.looker import Found
from resdet.jobs.result_pictures import Pictures, check_apart
from resdet.jobs.sources import Source, Sources
from resdet.predictions import det_coco, det_devkit
from resdet.predictions.jsonl import ImageResult


class Form(Protocol):
    """One form of output."""

    def add(self, source: Source, result: ImageResult) -> None:
        """Take in what came of one image or frame."""

    def close(self, done: bool) -> None:
        """The last one was taken in; ``done``: of all that there were."""


PICTURES = "images"
OF_CLASSES: dict[str, Callable[[Path, Classes], Form]] = {
    "jsonl": forms_of_text.JsonLines,
    "csv": forms_of_text.KaggleCsv,
    "csv-numbers": partial(forms_of_text.KaggleCsv, numbered=True),
    "devkit": forms_of_text.LocText,
}
FORMS: dict[str, dict[str, Callable[[Path, Classes], Form]]] = {
    "cls": OF_CLASSES,
    "loc": OF_CLASSES,
    "det": {
        "jsonl": forms_of_text.JsonLines,
        "csv": forms_of_text.DetCsv,
        "coco": forms_of_text.CocoJson,
        "voc": forms_of_text.VocFiles,
        "devkit": forms_of_text.DetText,
    },
}
WRITTEN = {  # the files of each form
    "jsonl": ("predictions.jsonl",),
    "csv": ("predictions.csv",),
    "csv-numbers": ("predictions.numbers.csv",),
    "coco": ("predictions.json", det_coco.IMAGES_FILE),
    "voc": ("predictions/comp4_det_test_*.txt",),
    "devkit": ("predictions.txt", det_devkit.IMAGES_FILE, det_devkit.CLASSES_FILE),
}
UNFINISHED = ".resdet-unfinished"  # where files of text are written, until all of them are whole
DRAW_ABOVE = {"cls": 0.0, "loc": 0.0, "det": 0.5}  # scores: a detector's answers from 0.05 on are for its evaluation


class Count(NamedTuple):
    """How much was looked at."""

    images: int  # and frames
    skipped: int  # of them, because they cannot be read


def read_forms(words: str, task: str) -> tuple[str, ...]:
    """The forms of output that ``jsonl,images`` and the like ask for.

    Args:
        task: ``"cls"``, ``"loc"`` or ``"det"``.

    Raises:
        UsageError: an unknown one, or one that is made for detection where weights classify or localize.
    """
    known = (*FORMS[task], PICTURES)
    forms = tuple(word.strip() for word in words.split(","))
    for form in forms:
        if form in FORMS["det"] and form not in known:
            does = {"cls": "classify", "loc": "localize"}[task]
            raise UsageError(f"--format {form} is made for detection, these weights {does}: {', '.join(known)}")
        if form not in known:
            raise UsageError(f"--format {form!r}: wanted some of {', '.join(known)}, with commas between them")
    return forms


class ResultFiles:
    """The files of one run: pictures as results come, text at the end.  A file that is there is whole.

    See :mod:`resdet.jobs.result_forms` and :mod:`resdet.jobs.result_pictures` for what is in each.

    Args:
        folder: is made when something is written.
        forms: what :func:`read_forms` gives for this ``task``.
        files: what was asked for.
        draw_above: least score of what is drawn; None: that of :data:`DRAW_ABOVE`.

    Raises:
        UsageError: an input lies where pictures would be written, or has a name that VOC's files cannot hold.
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
        self.folder, self.forms, self.files, self.classes, self.task = folder, forms, files, classes, task
        self._sources = self._new_sources()
        if PICTURES in forms:
            check_apart(files, folder / PICTURES)
        if "voc" in forms:
            self._sources.check_one_word()
        self._pictures = Pictures(classes, DRAW_ABOVE[task] if draw_above is None else draw_above)

    def begin(self, *, afresh: bool) -> None:
        """Make sure, before the work, that everything can be written.

        Args:
            afresh: nothing was found so far: the files that an earlier run left under the same names are removed.

        Raises:
            InputError: a class has a name that VOC's files cannot have.
            OSError: something cannot be written, or :data:`UNFINISHED` holds files that are not ours.
        """
        for form in self._new_forms():
            form.close(done=False)
        self._clear()
        for name in (name for form in self.forms if afresh and form in WRITTEN for name in self._names(form)):
            for file in self.folder.glob(name):
                file.unlink()

    def others(self) -> list[str]:
        """What lies in the folder under the names of forms that are not asked for.

        It may be an earlier run's, with other weights, or somebody's own: it is not removed, and the user is told.
        """
        mine = {name for form in self.forms for name in self._names(form)}
        names = {name for names in (*WRITTEN.values(), (PICTURES,)) for name in names} - mine
        return sorted(str(file.relative_to(self.folder)) for name in names for file in self.folder.glob(name))

    def _names(self, form: str) -> tuple[str, ...]:
        names = WRITTEN.get(form, (form,))
        return names if self.task == "det" else names[:1]  # the other tasks have one file a form

    def draw(self, found: Found) -> None:
        """Draw what came of an image or a frame, where pictures are asked for; a video's frames in their order."""
        if PICTURES in self.forms:
            self._pictures.add(self._sources.next(found.file, found.frame), found.result)

    def end_pictures(self) -> None:
        """Nothing more is drawn."""
        self._pictures.end_video()

    def write(self, results: Iterable[Found], *, done: bool) -> Count:
        """Write the files of text, all or none, over what is there; ``done``: the results are complete."""
        forms, sources = self._new_forms(), self._new_sources()
        images = skipped = 0
        for found in results:
            source = sources.next(found.file, found.frame)
            for form in forms:
                form.add(source, found.result)
            images += 1
            skipped += found.result.error is not None
        for form in forms:
            form.close(done)
        self._move()
        return Count(images, skipped)

    def _new_sources(self) -> Sources:
        return Sources(self.files, self.folder / PICTURES)

    def _new_forms(self) -> list[Form]:
        unfinished = self.folder / UNFINISHED
        self._clear()
        unfinished.mkdir(parents=True)
        made = FORMS[self.task]
        return [made[form](unfinished, self.classes) for form in made if form in self.forms]

    def _move(self) -> None:
        unfinished = self.folder / UNFINISHED
        for file in sorted(unfinished.rglob("*")):
            if file.is_file():
                there = self.folder / file.relative_to(unfinished)
                there.parent.mkdir(exist_ok=True)
                file.replace(there)
        with suppress(OSError):
            self._clear()

    def _clear(self) -> None:
        """Remove :data:`UNFINISHED`, a killed run's too, unless it holds files that are not ours."""
        unfinished = self.folder / UNFINISHED
        for file in [file for names in WRITTEN.values() for name in names for file in unfinished.glob(name)]:
            file.unlink()
        for folder in (unfinished / "predictions", unfinished):
            if folder.is_dir():
                folder.rmdir()
