"""What lies below a folder, or matches a glob: each folder once, however many links lead to it, and none left out.

``os.walk`` and ``glob`` pass over a folder that may not be read without a word, and ``glob`` follows a link that leads
back up some forty times.  Hidden files and folders are left out, as a shell does.
"""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from resdet.errors import InputError


class Listed(NamedTuple):
    """A folder and the names in it."""

    path: Path  # by the way it was reached, links not resolved
    files: list[str]


def at_home(path: str) -> Path:
    """A path with ``~`` or ``~user`` expanded; unchanged where there is no such user, as in a shell."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted, hidden ones too; none where it does not exist."""
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()) if folder.is_dir() else []


def walk(top: Path) -> Iterator[Listed]:
    """Every folder at ``top`` or below, each once, with the files in it.

    Symbolic links are followed.  A folder that can be reached with and without a link has the path without.

    Raises:
        InputError: one cannot be read.
    """
    seen: set[str] = set()
    own, linked = deque([top]), deque[Path]()
    while own or linked:
        here = (own or linked).popleft()
        real = os.path.realpath(here)
        if real in seen:
            continue
        seen.add(real)
        files = []
        for entry in _entries(here):
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                (linked if entry.is_symlink() else own).append(here / entry.name)
            else:
                files.append(entry.name)
        yield Listed(here, files)


def matches(pattern: Path) -> tuple[Path, list[Path]]:
    """The folder before a glob's first wildcard, and all that the glob matches, sorted.

    ``**`` stands for a folder and all below it; at the end of a glob the folder itself is its match.

    Raises:
        InputError: a folder that has to be looked into cannot be read.
    """
    first = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
    start = Path(*pattern.parts[:first])
    found = [start]
    for place, part in enumerate(pattern.parts[first:], first + 1):
        is_last = place == len(pattern.parts)
        found = each_once(match for path in found for match in _matches(path, part, is_last))
    return start, sorted(found)


def each_once(paths: Iterable[Path]) -> list[Path]:
    """The paths without repetitions, the first of each.

    Two paths are the same if they name one entry of one folder, whatever links lead to the folder.  A link to a file is
    an entry of its own.
    """
    real: dict[Path, str] = {}  # of each folder: asked for once, not for each file
    found: dict[tuple[str, str], Path] = {}
    for path in paths:
        if path.parent not in real:
            real[path.parent] = os.path.realpath(path.parent)
        found.setdefault((real[path.parent], path.name), path)
    return list(found.values())


def _matches(folder: Path, part: str, is_last: bool) -> list[Path]:
    if not glob.has_magic(part):
        return [folder / part] if _is_there(folder, part) else []
    if not folder.is_dir():
        return []
    if part == "**":
        return [folder] if is_last else [listed.path for listed in walk(folder)]
    names = (entry.name for entry in _entries(folder))
    return [folder / name for name in names if fnmatch(name, part) and (part[0] == "." or name[0] != ".")]


def _is_there(folder: Path, name: str) -> bool:
    try:
        os.lstat(folder / name)
    except PermissionError as error:
        raise _unreadable(folder, error) from None
    except OSError:
        return False
    return True


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(folder, error) from None


def _unreadable(folder: Path, error: OSError) -> InputError:
    what = "images in it would be left out: make it readable, or name the others alone"
    return InputError(f"{folder}: this folder cannot be read ({error.strerror}), and {what}")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except PermissionError:  # a link to where one may not look: a name without an ending may well be a folder's
        return not os.path.splitext(entry.name)[1]
    except OSError:  # a link to itself
        return False
