"""Proposals on disk: the best boxes of each training image, written once in parts, read by every loader's worker.

A folder has ``proposals.json``, which says what they are of, and ``00000.npy``, ``00001.npy`` ..., each the boxes and
scores of :data:`IMAGES_A_PART` images.  A part is there whole or not at all, so that writing can go on where it was cut
off, and several processes can share the parts.  Of a part, only the rows of the image that is asked for are read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resdet.errors import InputError
from resdet.structures import Proposals
from resdet.whole_file import replacing

IMAGES_A_PART = 1024


@dataclass(frozen=True)
class ProposalsOf:
    """What proposals were computed from.  A folder of proposals from anything else is refused."""

    weights: str  # sha256 of the localizer's file
    how: str  # its protocol, and which boxes were kept
    data: str  # sha256 of the names and classes of the images
    images: int
    kept: int  # rows an image


@dataclass(frozen=True)
class ProposalFolder:
    """The parts of a folder."""

    folder: Path
    of: ProposalsOf

    @property
    def parts(self) -> int:
        """How many there are when all are written."""
        return -(-self.of.images // IMAGES_A_PART)

    def images_of(self, part: int) -> range:
        """The images whose boxes a part has."""
        return range(part * IMAGES_A_PART, min((part + 1) * IMAGES_A_PART, self.of.images))

    def begin(self) -> None:
        """Make the folder, or make sure that what it holds is of the same localizer and images.

        Raises:
            InputError: it is not; the first thing that differs is named.
        """
        about = self.folder / "proposals.json"
        if about.exists():
            self._check(about)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(about) as part:
            part.write_text(json.dumps(asdict(self.of), indent=2) + "\n", encoding="utf-8")

    def has(self, part: int) -> bool:
        """Whether a part is written."""
        return self._file(part).exists()

    def write(self, part: int, rows: Sequence[Proposals]) -> None:
        """Write the proposals of a part's images, at most ``of.kept`` each, best first."""
        table = np.zeros((len(rows), self.of.kept, 5), dtype=np.float32)
        for row, proposals in zip(table, rows, strict=True):
            row[: len(proposals), :4], row[: len(proposals), 4] = proposals.boxes, proposals.scores
        content = BytesIO()  # of a full disk numpy only says how many numbers it did not write
        np.save(content, table, allow_pickle=False)
        with replacing(self._file(part)) as unfinished:
            unfinished.write_bytes(content.getvalue())

    def __getitem__(self, index: int) -> Proposals:
        """The proposals of an image, in its pixels, best first."""
        part, row = divmod(index, IMAGES_A_PART)
        numbers = 5 * self.of.kept
        start = self._starts[part] + row * numbers * np.dtype(np.float32).itemsize
        table = np.fromfile(self._file(part), np.float32, numbers, offset=start).reshape(self.of.kept, 5)
        return Proposals(*_without_padding(torch.from_numpy(table)))

    @cached_property
    def _starts(self) -> list[int]:
        return [self._check_part(part) for part in range(self.parts)]

    def _check_part(self, part: int) -> int:
        """Where in the file the numbers begin; the file is closed, as a process may open 1024."""
        file, images = self._file(part), len(self.images_of(part))
        try:
            table: np.memmap = np.lib.format.open_memmap(file, mode="r")  # np.load would take an archive of several too
        except Exception as error:  # numpy parses a header as Python and raises whatever that trips over
            raise InputError(f"{file}: proposals cannot be read: {' '.join(str(error).split())}") from None
        if table.shape != (images, self.of.kept, 5) or table.dtype != np.float32 or not table.flags.c_contiguous:
            wanted = (images, self.of.kept, 5)
            raise InputError(f"{file}: wanted proposals as float32 {wanted}, got {table.dtype} {table.shape}")
        return table.offset

    def _check(self, about: Path) -> None:
        try:
            written = json.loads(about.read_text(encoding="utf-8"))
            differing = [(k, written[k], v) for k, v in asdict(self.of).items() if written[k] != v]
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(f"{about}: wanted a description of proposals: {error!r}") from None
        if differing:
            name, before, now = differing[0]
            raise InputError(
                f"{about}: these proposals are others: {name} is {before!r} there and {now!r} here; "
                "set proposals.folder to another folder"
            )

    def _file(self, part: int) -> Path:
        return self.folder / f"{part:05d}.npy"


def _without_padding(table: Tensor) -> tuple[Tensor, Tensor]:
    present = (table[:, 2:4] > table[:, :2]).all(1)
    return table[present, :4], table[present, 4]
