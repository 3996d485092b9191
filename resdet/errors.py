"""The one error type for bad input: data, annotations, prediction files, checkpoints, configs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST = 1500  # letters


class InputError(ValueError):
    """Something a user gave cannot be used.

    The message is one line that names the file (or box, or key), what was wanted and what was there, so that
    a tool can print it as it is: ``val/x.xml: object 2: xmax 10 is left of xmin 20``.  It may quote a file, whatever
    that holds: so a message longer than :data:`LONGEST` loses its middle, and what cannot be printed, such as a
    terminal's control codes, is escaped as in Python's ``repr``.
    """

    def __init__(self, message: str = "") -> None:
        if len(message) > LONGEST and "\n" not in message:  # a loader's worker's: torch puts its traceback first
            message = f"{message[: LONGEST * 2 // 3]} ... {message[-LONGEST // 4 :]}"
        if not message.isprintable():
            message = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in message)
        super().__init__(message)


class UsageError(InputError):
    """The command itself is wrong, not the data it names: an option, a data set's name, a config; exit code 2."""


class ForeignFile(InputError):
    """A readable file that is no checkpoint of ours: it may hold weights, but does not say of which network."""


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Name the file in an ``OSError`` that names none, such as that of a full disk while a file is written."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(file)) from None
