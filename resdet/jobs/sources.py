"""Names and numbers of images and frames in the files of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from resdet.data.image_files import ImageFile, picture_names, row_ids
from resdet.data.video import ENDINGS, is_video
from resdet.errors import UsageError
from resdet.predictions.match import alphabetical


class Source(NamedTuple):
    """The image or frame that a result belongs to."""

    file: Path  # the image, or the whole video
    row: str  # its name in tables, which no other has
    number: int  # from 1, where images go by numbers
    frame: int | None  # of a video, from 0; None: it is an image, or what is wrong with a whole video
    picture: Path  # where a picture of it goes; all frames of a video have one


class Sources:
    """The sources of a run, asked for in the order of the results.

    Numbers are places in the alphabetical order of the rows' names, as ILSVRC counts its images; where there are
    videos, whose frames are not known beforehand, they are places in the order of the results.

    Args:
        files: what was asked for.
        pictures: the folder that pictures go to.
    """

    def __init__(self, files: Sequence[ImageFile], pictures: Path) -> None:
        names = [file.name for file in files]
        self.files, self._rows = files, row_ids(names)
        self._pictures = [pictures / name for name in picture_names(names, ENDINGS)]
        self._places: list[int] | None = None
        if not any(is_video(file.file) for file in files):
            self._places = [0] * len(files)
            for number, index in enumerate(alphabetical(self._rows).tolist(), 1):
                self._places[index] = number
        self._asked = 0

    def check_one_word(self) -> None:
        """Make sure that a line of words can name every source.

        Raises:
            UsageError: the first that has a space in its name.
        """
        for file, row in zip(self.files, self._rows, strict=True):
            if row.split() != [row]:
                raise UsageError(f"{file.file}: VOC's files name images by one word, and this name has a space in it")

    def next(self, index: int, frame: int | None) -> Source:
        """The source of the next result: of ``files[index]``, and which frame of it."""
        self._asked += 1
        row = self._rows[index] if frame is None else f"{self._rows[index]}#{frame:06d}"
        number = self._asked if self._places is None else self._places[index]
        return Source(self.files[index].file, row, number, frame, self._pictures[index])
