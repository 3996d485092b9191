"""One run in a folder at a time: two would resume from each other's checkpoints, and log every step twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from resdet.errors import UsageError

_held: set[int] = set()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, which is made where it is missing.

    The lock is ``flock`` on the folder itself: it leaves no file, and the system releases that of a killed process.
    Where there is no such lock, as on Windows and on some network disks, nothing is locked.

    Raises:
        UsageError: another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    _held.add(held)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{folder}: another run is writing there: --out names another folder, or wait for its end"
            ) from None
        except OSError:  # a disk without locks
            pass
        yield
    finally:
        _held.discard(held)
        os.close(held)


def _let_go() -> None:
    """A forked process, such as a loader's worker, keeps no lock: it may outlive a killed parent by seconds."""
    for held in _held:
        with suppress(OSError):
            os.close(held)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
