"""Lists of files: their lines, and the names in them, which must not lead out of the data set."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from resdet.data.folder_tree import at_home
from resdet.errors import InputError

LONGEST_NAME = 255  # bytes: what disks allow for a file or a folder
_PLAIN = re.compile(r"\w[\w.-]{0,99}(/\w[\w.-]{0,99})*", re.ASCII)  # nearly all names, which need no closer look


def numbered_lines(file: Path, wanted: str) -> list[tuple[int, str]]:
    """The lines of a text file that are not empty, stripped, each with its number from 1.

    Args:
        wanted: what the file was to hold, for the message.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; wanted {wanted}") from None
    except UnicodeDecodeError:
        raise InputError(f"{file}: wanted {wanted} as UTF-8 text, got other bytes") from None
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def inside(name: str, place: str) -> str:
    """The name of a file that another one gives, which must not lead out of the folder it is taken from.

    Args:
        place: what an error is to name.

    Raises:
        InputError: an empty or absolute path, one with ``..``, or one that no file can have.
    """
    if _PLAIN.fullmatch(name):  # half a microsecond for 12: all lists of DET name millions
        return name
    kinds = (PurePosixPath(name), PureWindowsPath(name))
    if not name or any(path.anchor or ".." in path.parts for path in kinds):
        raise InputError(f"{place}: wanted the name of a file within the data set, got {name!r}")
    unwritable = "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name)
    if unwritable or any(len(part.encode()) > LONGEST_NAME for part in kinds[0].parts):
        raise InputError(f"{place}: no file can be named {name!r}")
    return name


def above(folder: Path) -> Path:
    """The folder that holds a folder, also where that is called ``.`` or ``..``."""
    return folder.parent if folder.name not in ("", "..") else Path(os.path.abspath(folder)).parent


def find_file(name: str, folders: Sequence[Path], wanted: str) -> Path:
    """The file ``name``: itself where it is absolute, else in the first of the folders that has it.

    Args:
        wanted: what it is, for the message.

    Raises:
        InputError: it is in none of them; the places looked at are named.
    """
    file = at_home(name)
    places = [file] if file.is_absolute() else [folder / file for folder in folders]
    there = next((place for place in places if place.is_file()), None)
    if there is None:
        raise InputError(f"no {wanted} {name!r}; looked for {', '.join(str(place) for place in places)}")
    return there
