"""Text with one detection a line, in columns: a name of the image in some forms, and numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from resdet.errors import InputError


@dataclass(frozen=True)
class Table:
    """The lines of a file that are not empty."""

    file: Path
    text: str
    words: NDArray[np.str_]  # (N,): the first column where it is a name, cut if it is too long; else empty words
    numbers: NDArray[np.float64]  # (N, C), all finite

    def place(self, row: int) -> str:
        """``file:line`` of a row, for an error's message."""
        return f"{self.file}:{self._line(row)[0]}"

    def word(self, row: int) -> str:
        """The whole first word of a row, for an error's message."""
        return self._line(row)[1].split()[0]

    def _line(self, row: int) -> tuple[int, str]:
        filled = ((number, line) for number, line in enumerate(self.text.split("\n"), 1) if line.strip())
        return next(islice(filled, row, None))


def read_table(file: Path, text: str, columns: Sequence[str], word_length: int = 0) -> Table:
    """Read a file's ``text``; a million lines take a few seconds.

    Args:
        columns: what each number of a line is, for messages.
        word_length: of the longest name that the first column may hold, longer ones are cut; 0: there is no such
            column.

    Raises:
        InputError: a line with another number of words, or with a number that is not finite.
    """
    kind = np.dtype([("word", f"U{max(1, word_length)}"), *((f"c{i}", "f8") for i in range(len(columns)))])
    if not text.strip():
        rows = np.zeros(0, dtype=kind)
    else:
        try:
            fields = kind if word_length else np.dtype("f8")
            rows = np.loadtxt(_lines(text), dtype=fields, comments=None, ndmin=1 if word_length else 2)
        except ValueError as error:
            raise _first_fault(file, text, columns, word_length > 0, str(error)) from None
    if rows.dtype.names:
        words, numbers = rows["word"], np.stack([rows[f"c{i}"] for i in range(len(columns))], axis=1)
    else:
        words, numbers = np.zeros(len(rows), dtype="U1"), rows
    if numbers.shape[1] != len(columns) or not np.isfinite(numbers).all():
        raise _first_fault(file, text, columns, word_length > 0, "not a table of finite numbers")
    return Table(file, text, words, numbers)


def _lines(text: str) -> TextIO:
    """As io.StringIO has them, which takes four bytes a letter: 1.8 GB for ten million detections."""
    return io.TextIOWrapper(io.BytesIO(text.encode("utf-8", "surrogatepass")), "utf-8", "surrogatepass", newline="\n")


def _first_fault(file: Path, text: str, columns: Sequence[str], named: bool, otherwise: str) -> InputError:
    """What is wrong with the first line that is not as it should be."""
    wanted = " ".join((*(["image"] if named else []), *columns))
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != len(columns) + named:
            return InputError(f"{file}:{number}: wanted {len(columns) + named} words ({wanted}), got {len(words)}")
        for column, word in zip(columns, words[named:], strict=True):
            if not _is_finite(word):
                return InputError(f"{file}:{number}: wanted a finite number for {column}, got {word!r}")
    return InputError(f"{file}: wanted lines of {wanted}: {otherwise}")


def _is_finite(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word))) and "_" not in word  # Python takes 1_000 for a number, others do not
    except ValueError:
        return False
