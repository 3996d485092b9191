"""Images named on a command line: files, folders, globs, and a name for each that no other has."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from resdet.data.folder_tree import at_home, each_once, matches, walk
from resdet.errors import InputError, UsageError

WEIGHTS = (".pkl", ".pt", ".pth", ".safetensors")  # no image ends so
ENDINGS = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# photographs that are not read: of telephones, and of cameras before they are developed
UNREAD = (".arw", ".avif", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jp2", ".jxl", ".nef", ".orf", ".raf", ".rw2")


class ImageFile(NamedTuple):
    """An image to be read, and its path below the folder that all inputs have in common."""

    file: Path  # as it was asked for
    name: str  # that path, with ``/``: "a.jpg" of one folder, "cats/a.jpg" where two folders were asked for


def find_images(inputs: Sequence[str], endings: Sequence[str] = ENDINGS) -> list[ImageFile]:
    """The images that words of a command line mean, in the order of the words, each image once.

    A folder gives all images below it, sorted, symbolic links followed: the files whose ending is one of
    ``endings`` in any case, hidden ones left out.  So does a glob (``**`` goes down), for all that it matches.
    A file that is named itself is taken whatever its ending.

    Raises:
        InputError: a word names nothing, or nothing that is an image, or a folder that cannot be read.
        UsageError: a word names a file of weights.
    """
    meant = [_meaning(word, tuple(endings)) for word in inputs]
    common = _common([top for top, _ in meant])
    files = each_once(file for _, of_word in meant for file in of_word)  # the first mention counts
    return [ImageFile(file, Path(os.path.relpath(file, common)).as_posix()) for file in files]


def left_out(inputs: Sequence[str]) -> list[Path]:
    """The photographs that :func:`find_images` passes over in folders and globs, being of no kind that is read."""
    found = []
    for word in inputs:
        with contextlib.suppress(InputError):  # it has none
            found += [file for file, _ in find_images([word], UNREAD)]
    named = {at_home(word) for word in inputs}
    return [file for file in each_once(found) if file.suffix.lower() in UNREAD and file not in named]


def row_ids(names: Sequence[str]) -> list[str]:
    """How a table names each image: by its stem, as ILSVRC does, or where two share one, all by relative path."""
    stems = [PurePosixPath(name).stem for name in names]
    if len(set(stems)) == len(stems):
        return stems
    paths = [PurePosixPath(name).with_suffix("").as_posix() for name in names]
    return paths if len(set(paths)) == len(paths) else list(names)


def picture_names(names: Sequence[str], videos: Sequence[str] = ()) -> list[str]:
    """A ``.jpg`` for each relative path, no two the same: ``a.jpg``, then ``a.png.jpg`` for ``a.png`` beside it.

    Args:
        videos: endings of files that get an ``.mp4``.
    """
    taken: set[str] = set()
    chosen = []
    for name in names:
        ending = ".mp4" if PurePosixPath(name).suffix.lower() in videos else ".jpg"
        picks = _picture_names(name, ending)
        pick = next(pick for pick in picks if pick.lower() not in taken)  # not every disk knows case
        taken.add(pick.lower())
        chosen.append(pick)
    return chosen


def _picture_names(name: str, ending: str) -> Iterator[str]:
    stem = PurePosixPath(name).with_suffix("").as_posix()
    yield f"{stem}{ending}"
    yield f"{name}{ending}"
    number = 2
    while True:
        yield f"{name}-{number}{ending}"
        number += 1


def _meaning(word: str, endings: tuple[str, ...]) -> tuple[Path, list[Path]]:
    """The folder that a word's images are named below, and the images."""
    if not word:  # as of a shell's variable that is not set: Path("") is the current folder
        raise UsageError("'': wanted an image, a folder or a glob")
    path = at_home(word)
    if path.is_dir():
        files = _below(path, endings)
        if not files:
            raise InputError(f"{word}: no images in this folder or below; wanted files ending in {' '.join(endings)}")
        return path, files
    if path.is_file():
        if path.suffix.lower() in WEIGHTS:
            raise UsageError(f"{word}: weights where an image is wanted: each network needs a --weights of its own")
        return path.parent, [path]
    if not glob.has_magic(word):
        raise InputError(f"{word}: no such file or folder")
    top, found = matches(path)
    parts = (_below(match, endings) if os.path.isdir(match) else _images([match], endings) for match in found)
    files = [file for of_match in parts for file in of_match]
    if not files:
        what = f"matches {len(found)} files, none of them an image" if found else "matches nothing"
        raise InputError(f"{word}: {what}; wanted files ending in {' '.join(endings)}")
    shortest_first = sorted(files, key=lambda file: len(file.parts))  # an image's own name before one through a link
    return top, sorted(each_once(shortest_first))


def _below(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    files = (listed.path / name for listed in walk(folder) for name in listed.files)
    return sorted(_images(files, endings))


def _images(files: Iterable[Path], endings: tuple[str, ...]) -> list[Path]:
    return [file for file in files if file.suffix.lower() in endings]


def _common(folders: Sequence[Path]) -> str:
    paths = [os.path.abspath(folder) for folder in folders]
    try:
        return os.path.commonpath(paths)
    except ValueError:  # two drives
        raise InputError(f"{folders[0]} and others lie on several drives: run once for each") from None
