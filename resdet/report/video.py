"""Pictures one after another as a video file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from resdet.errors import InputError


class VideoFile:
    """An MPEG-4 video that is written frame by frame, under another name until it is whole.

    Args:
        file: ends in ``.mp4``; what is there is replaced by :meth:`close`.
        rate: frames a second.
    """

    def __init__(self, file: Path, rate: float) -> None:
        self.file, self.rate = file, rate
        self._part = file.with_name(f"{file.stem}.part{file.suffix}")
        self._writer: cv2.VideoWriter | None = None

    def add(self, picture: np.ndarray) -> None:
        """Append ``(H, W, 3)`` uint8 RGB, of one size for all frames; an odd column or row at the end is cut off.

        Raises:
            InputError: OpenCV cannot write such a video here.
        """
        if self._writer is None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            size = picture.shape[1], picture.shape[0]
            self._writer = cv2.VideoWriter(str(self._part), cv2.VideoWriter.fourcc(*"mp4v"), self.rate, size)
            if not self._writer.isOpened():
                raise InputError(f"{self.file}: a video of {size[0]} x {size[1]} pixels cannot be written")
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file, if there was a frame."""
        if self._writer is not None:
            self._writer.release()
            self._part.replace(self.file)
            self._writer = None
