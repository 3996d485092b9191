"""Files that are there whole or not at all: written under another name beside, then renamed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """The name under which to write ``file``, whose place it takes in the end; where that fails, ``file`` is as it was.

    Raises:
        OSError: as :func:`beside`.
    """
    with beside(file) as part:
        yield part
        part.replace(file)


@contextmanager
def beside(file: Path) -> Iterator[Path]:
    """The name under which ``file`` is written before it is whole; what is there is removed where that fails.

    Raises:
        OSError: what the disk said, about ``file``, whoever wrote.
    """
    part = file.with_name(file.name + ".part")
    try:
        yield part
    except BaseException as error:
        part.unlink(missing_ok=True)  # half a file is of no use, and a checkpoint's is as large as a whole one
        if isinstance(error, Exception) and (fault := _disk_fault(error)):
            why = f"{fault.strerror}; what was saved before is as it was"
            raise OSError(fault.errno, why, str(file)) from None
        raise


def _disk_fault(error: BaseException | None) -> OSError | None:
    """What the disk said, where torch hides it behind an error of its own about a position that it did not expect."""
    while error is not None and not (isinstance(error, OSError) and error.strerror):
        error = error.__cause__ or error.__context__
    return error
