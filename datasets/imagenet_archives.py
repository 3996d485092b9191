"""What the archives of ILSVRC CLS-LOC hold, where each file of theirs goes, and how it gets there.

No archive decides where anything is written: a member whose name has the form that is known for its archive goes to the
place that follows from it.  Nothing is run, and links are not made.
"""

from __future__ import annotations

import gzip
import re
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from tqdm import tqdm

from resdet.errors import InputError

SECONDS_BETWEEN_LINES = 20.0
CHUNK = 2**20
INNER = re.compile(r"n\d{8}\.tar|[\w-]+\.tar\.gz")  # archives within archives: a class's images; Kaggle's tree
TREE = r"ILSVRC/(?:Data|Annotations|ImageSets)/CLS-LOC/[\w/-]+\.(?:JPEG|xml|txt)"
TABLE = r"LOC_\w+\.(?:csv|txt)"


class Kind(NamedTuple):
    """A kind of archive, told by its name."""

    title: str
    archive: str  # pattern of the archive's name
    member: str  # pattern of the names in it
    place: str  # where such a member goes below the output folder, with the pattern's groups
    all_of_it: bool = True  # a name of another form is an error; otherwise it is left out


# in the order in which they are unpacked: boxes first, which say of what class a validation image is
KINDS = (
    Kind(
        "boxes of val",
        r"ILSVRC2012_bbox_val_v\d\.(?:tgz|tar\.gz)",
        r"(?:[\w/-]+/)?(ILSVRC2012_val_\d{8}\.xml)",
        r"ILSVRC/Annotations/CLS-LOC/val/\1",
    ),
    Kind(
        "boxes of train",
        r"ILSVRC2012_bbox_train_v\d\.tar\.gz",
        r"(?:[\w/-]+/)?(n\d{8})/(n\d{8}_\d+\.xml)",
        r"ILSVRC/Annotations/CLS-LOC/train/\1/\2",
    ),
    Kind(
        "val",
        r"ILSVRC2012_img_val\.tar",
        r"(?:[\w-]+/)?(ILSVRC2012_val_\d{8}\.JPEG)",
        r"ILSVRC/Data/CLS-LOC/val/\1",
    ),
    Kind(
        "test",
        r"ILSVRC2012_img_test\w*\.tar",
        r"(?:[\w-]+/)?(ILSVRC2012_test_\d{8}\.JPEG)",
        r"ILSVRC/Data/CLS-LOC/test/\1",
    ),
    Kind("train", r"ILSVRC2012_img_train\.tar", r"((n\d{8})_\d+\.JPEG)", r"ILSVRC/Data/CLS-LOC/train/\2/\1"),
    Kind(
        "the whole tree",
        r"(?:imagenet_object_localization\w*|ILSVRC201[57]_CLS-LOC)\.tar\.gz",
        f"({TREE})",
        r"\1",
        all_of_it=False,
    ),
    Kind(
        "Kaggle's archive", r"imagenet-object-localization-challenge\.zip", f"({TREE}|{TABLE})", r"\1", all_of_it=False
    ),
)


class Strict(tarfile.TarInfo):
    """The header of a file in a tar; a damaged one is an error, where tarfile takes it for the archive's end."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Strict:
        try:
            return super().fromtarfile(tar)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from None


class Member(NamedTuple):
    """A file in an archive."""

    name: str
    size: int
    data: IO[bytes]


def kind_of(archive: Path) -> Kind | None:
    """What an archive is by its name; None: none that is known."""
    return next((kind for kind in KINDS if re.fullmatch(kind.archive, archive.name)), None)


def unpack(archive: Path, kind: Kind, out: Path, elsewhere: Mapping[str, Path]) -> int:
    """Write what an archive holds below ``out``; a file that is there, whole, is left as it is.

    Args:
        elsewhere: where a file of some name lies already, if not at its usual place.

    Returns:
        How many files were written.

    Raises:
        InputError: the archive is damaged, cut off, or holds what it should not.
    """
    written = 0
    with archive.open("rb") as raw, _told_of_damage(archive):
        for member in _shown(_members(archive, raw), raw, archive):
            if place := _place(archive, kind, member.name):
                written += _store(archive, member, elsewhere.get(Path(place).name, out / place))
    return written


def read_text(archive: Path, name: str) -> list[str]:
    """The lines of the one member whose path ends in ``name``, which is not unpacked.

    Raises:
        InputError: there is none.
    """
    with archive.open("rb") as raw, _told_of_damage(archive):
        for member in _members(archive, raw):
            if member.name.endswith(name):
                return member.data.read(CHUNK).decode(errors="replace").splitlines()
    raise InputError(f"{archive}: wanted {name} in it")


@contextmanager
def _told_of_damage(archive: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{archive}: damaged or cut off: {error}") from None


def _place(archive: Path, kind: Kind, name: str) -> str | None:
    parts = name.removeprefix("./").split("/")
    if ".." in parts or "" in parts or "\\" in name or ":" in name:
        raise InputError(f"{archive}: holds {name!r}, which leads out of the folder: refused")
    found = re.fullmatch(kind.member, name.removeprefix("./"))
    if not found and kind.all_of_it:
        raise InputError(f"{archive}: holds {name!r}, which {kind.title} does not have: another archive of that name?")
    return found.expand(kind.place) if found else None


def _members(archive: Path, raw: IO[bytes]) -> Iterator[Member]:
    if archive.suffix == ".zip":
        members = _zip_members(raw)
    else:
        members = _tar_members(archive, raw, "r:" if archive.suffix == ".tar" else "r|gz")
    for member in members:
        yield from _or_what_is_in_it(archive, member)


def _zip_members(stream: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(stream) as zipped:
        for info in zipped.infolist():
            if not info.is_dir():
                with zipped.open(info) as data:
                    yield Member(info.filename, info.file_size, data)


def _tar_members(archive: Path, stream: IO[bytes], mode: str) -> Iterator[Member]:
    with tarfile.open(fileobj=stream, mode=mode, tarinfo=Strict) as tar:  # type: ignore[call-overload]
        while (info := tar.next()) is not None:
            tar.members.clear()  # it would keep every one of a million
            if info.isdir():
                continue
            data = tar.extractfile(info) if info.isreg() else None
            if data is None:
                raise InputError(f"{archive}: holds {info.name!r}, a link or a device: wanted files alone")
            yield Member(info.name, info.size, data)
        _check_end(tar)


def _check_end(tar: tarfile.TarFile) -> None:
    """That no file comes behind the end: zeros in place of a header, as of a download with holes, look like one."""
    assert tar.fileobj is not None
    while block := tar.fileobj.read(tarfile.BLOCKSIZE):
        with suppress(tarfile.HeaderError):
            info = tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")  # type: ignore[arg-type]
            raise tarfile.ReadError(f"zeros in place of a header, with {info.name!r} behind them")


def _or_what_is_in_it(archive: Path, member: Member) -> Iterator[Member]:
    """The member, or what an archive within the archive holds; no further down, so that it comes to an end."""
    if INNER.fullmatch(member.name):
        yield from _tar_members(archive, member.data, "r|gz" if member.name.endswith(".gz") else "r:")
    else:
        yield member


def _store(archive: Path, member: Member, file: Path) -> bool:
    """Write a file, or leave it where it is there and whole; it has its name only when it is whole."""
    if file.is_file() and file.stat().st_size == member.size:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    left = member.size
    with part.open("wb") as stream:
        while left and (data := member.data.read(min(left, CHUNK))):
            stream.write(data)
            left -= len(data)
    if left:
        part.unlink()
        raise InputError(f"{archive}: cut off within {member.name!r}")
    part.replace(file)
    return True


def _shown(members: Iterator[Member], raw: IO[bytes], archive: Path) -> Iterator[Member]:
    """The members, while the share of the archive that is done is shown on stderr."""
    size, said = archive.stat().st_size, time.monotonic()
    with tqdm(total=size, desc=archive.name, unit="B", unit_scale=True, disable=not sys.stderr.isatty()) as bar:
        for member in members:
            yield member
            done = raw.tell()
            bar.update(done - bar.n)
            if bar.disable and time.monotonic() - said > SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                tqdm.write(f"{archive.name}: {100 * done / size:.1f} %", file=sys.stderr)
