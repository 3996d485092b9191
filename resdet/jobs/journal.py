"""What inference has found so far, written to disk result by result, so that a killed run goes on after the last.

Each process appends to a file of its own, ``journal-<rank>.jsonl`` in the folder of the results.  Its first line says
what the run is; then comes one line for each result, ``[file's place, frame]``, a tab, and the result in our own form
(:mod:`resdet.predictions.jsonl`), whose decimals give back every float32 as it was.  A line that was cut off by a kill
counts as not written.  All journals are read, whoever wrote them: a run may go on with another number of processes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from resdet.data.records import Classes
from resdet.errors import InputError, UsageError
from resdet.jobs.looker import Found
from resdet.predictions import jsonl

ENDED = "ended"  # in place of a frame's number: there is no other frame


class _Line(NamedTuple):
    journal: int  # which of the files
    at: int  # byte where it begins


class Journal:
    """The journals in a folder, read when it is made; :meth:`begin` opens this process's own.

    Args:
        folder: need not be there.
        run: all that the results depend on; journals of another run are refused.
        files: how many images and videos were asked for.

    Raises:
        UsageError: the folder holds the journal of another run, with what is different, or a file that has the name of
            a journal and is none.
        InputError: later, a result that is damaged.
    """

    def __init__(self, folder: Path, run: Mapping[str, str], files: int) -> None:
        self.folder, self.run = folder, dict(run)
        self.done = np.zeros(files, dtype=bool)
        self._journals = sorted(folder.glob("journal-*.jsonl"))
        self._of_image = np.full((files, 2), -1, dtype=np.int64)  # a _Line each: few bytes for a million images
        self._of_frame: dict[int, dict[int, _Line]] = {}
        self._whole = dict.fromkeys(self._journals, 0)  # bytes up to the end of the last whole line
        for number, file in enumerate(self._journals):
            self._read(number, file)
        self._stream: BinaryIO | None = None
        self._video: int | None = None  # the one whose frames are being added

    def frames_done(self, file: int) -> int:
        """How many frames of a video have a result; those before them have one too."""
        return len(self._of_frame.get(file, ()))

    def begin(self, rank: int) -> None:
        """Open this process's file to append to it; what follows its last whole line is cut off."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"journal-{rank}.jsonl"
        if whole := self._whole.get(file, 0):
            os.truncate(file, whole)
            self._stream = file.open("ab")
        else:
            self._stream = file.open("wb")
            self._write(json.dumps(self.run) + "\n")

    def add(self, found: Found, names: Sequence[str]) -> None:
        """Write what came of an image or of a frame, unless it is there; ``names`` are the classes'."""
        if self._video not in (None, found.file):
            self._end_video()
        if found.frame is not None:
            self._video = found.file
            if found.frame < self.frames_done(found.file):
                return
        self._write(f"{json.dumps([found.file, found.frame])}\t{jsonl.format_line(found.result, names)}")
        if found.frame is None:  # after frames: what is wrong with the rest of the video, which ends it
            self._video = None

    def close(self, *, done: bool) -> None:
        """No more is added; ``done``: because nothing is left."""
        if done and self._video is not None:
            self._end_video()
        if self._stream is not None:
            self._stream.close()

    def earlier(self, found: Found, classes: Classes) -> Iterator[Found]:
        """The frames before this one of the same video that an earlier run has found."""
        if found.frame is not None and self._video != found.file:
            frames = self._of_frame.get(found.file, {})
            for frame in range(min(found.frame, len(frames))):
                yield self._found(found.file, frame, frames[frame], classes)

    def results(self, classes: Classes) -> Iterator[Found]:
        """All that the journals held when they were read, in the order of the files, a video's frame by frame."""
        for file in range(len(self.done)):
            for frame, line in sorted(self._of_frame.get(file, {}).items()):
                yield self._found(file, frame, line, classes)
            line = _Line(*self._of_image[file].tolist())
            if line.journal >= 0:
                yield self._found(file, None, line, classes)

    def remove(self) -> None:
        """Delete all journals: the run is done, and its results are in their own files."""
        for file in self.folder.glob("journal-*.jsonl"):
            file.unlink()

    def _read(self, number: int, file: Path) -> None:
        with file.open("rb") as stream:
            head = stream.readline()
            if not self._is_journal(head):
                raise UsageError(
                    f"{file}: not a journal of infer.py, though named as one, which goes when a run is done: "
                    "--out names another folder, or the file another name"
                )
            if not head.endswith(b"\n"):
                return  # killed while it was begun
            self._check_same(file, json.loads(head))
            self._whole[file] = stream.tell()
            for line in stream:
                if not line.endswith(b"\n") or not self._take(_Line(number, self._whole[file]), line):
                    return
                self._whole[file] += len(line)

    def _is_journal(self, head: bytes) -> bool:
        """Whether a file's first line says what a run is, or is the beginning of such a line."""
        start = json.dumps(self.run)[: len(next(iter(self.run))) + 4].encode()  # {"inputs":
        if not head.endswith(b"\n"):
            head = head.rstrip(b"\0")  # a power cut may leave zeros
            return start.startswith(head) or head.startswith(start)
        try:
            return isinstance(json.loads(head), dict)
        except (ValueError, RecursionError):
            return False

    def _take(self, where: _Line, line: bytes) -> bool:
        """Note whose result a line is; false: it is none."""
        key, tab, _ = line.partition(b"\t")
        try:
            file, frame = json.loads(key)
        except (ValueError, TypeError, RecursionError):  # a power cut may leave zeros
            return False
        if type(file) is not int or not 0 <= file < len(self.done):
            return False
        if frame not in (None, ENDED) and (type(frame) is not int or frame < 0):
            return False
        if frame is None:
            self._of_image[file] = where
        elif frame != ENDED:
            self._of_frame.setdefault(file, {})[frame] = where
        self.done[file] |= frame in (None, ENDED)
        return bool(tab)

    def _check_same(self, file: Path, run: Mapping[str, str]) -> None:
        for key, now in self.run.items():
            if (then := run.get(key, "nothing")) != now:
                raise UsageError(
                    f"{self.folder} holds an unfinished run with {key} {then}, now {now}: the same command goes on "
                    f"with it, --out names another folder, and without {file.name} it is given up"
                )

    def _found(self, file: int, frame: int | None, line: _Line, classes: Classes) -> Found:
        journal = self._journals[line.journal]
        with journal.open("rb") as stream:
            stream.seek(line.at)
            text = stream.readline().partition(b"\t")[2]
        try:
            ((_, result),) = jsonl.results(journal, text.decode("utf-8"), classes)
        except ValueError:  # no text, or not one result of ours
            raise InputError(
                f"{journal}: damaged at byte {line.at}: without this file, its results are found again"
            ) from None
        return Found(file, frame, result)

    def _end_video(self) -> None:
        self._write(json.dumps([self._video, ENDED]) + "\t\n")
        self._video = None

    def _write(self, text: str) -> None:
        assert self._stream is not None  # begin() came first
        try:  # a name that is not UTF-8 holds lone surrogates, which as \\udc80 are good JSON and read back the same
            self._stream.write(text.encode("utf-8", errors="backslashreplace"))
            self._stream.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._stream.name) from None
