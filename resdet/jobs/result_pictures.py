"""Results drawn: a picture for each image, a video for each video."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from resdet.data.image import load_image
from resdet.data.image_files import ImageFile
from resdet.data.records import Classes
from resdet.data.video import frame_rate, frames
from resdet.errors import UsageError
from resdet.jobs.sources import Source
from resdet.predictions.jsonl import ImageResult
from resdet.report import pictures
from resdet.report.video import VideoFile


class Pictures:
    """``images/<relative path>.jpg`` with boxes and names, and ``.mp4`` of videos, each whole when it is there.

    Images are read again, frame by frame for a video: to keep a batch of whole photographs would take gigabytes.

    Args:
        draw_above: detections that score less are not drawn.
    """

    def __init__(self, classes: Classes, draw_above: float) -> None:
        self.names, self.draw_above = classes.names, draw_above
        self._video: VideoFile | None = None
        self._frames: Iterator[np.ndarray] = iter(())

    def add(self, source: Source, result: ImageResult) -> None:
        if source.frame in (None, 0):
            self.end_video()
        if result.error is not None:
            return
        if source.frame is None:
            pictures.save(source.picture, self._drawn(load_image(source.file), result))
            return
        if source.frame == 0:
            self._video, self._frames = VideoFile(source.picture, frame_rate(source.file)), frames(source.file)
        assert self._video is not None  # frames come in their order
        self._video.add(self._drawn(next(self._frames), result))

    def end_video(self) -> None:
        """End the video that is being drawn, if there is one."""
        if self._video is not None:
            self._video.close()
            self._video, self._frames = None, iter(())

    def _drawn(self, image: np.ndarray, result: ImageResult) -> np.ndarray:
        found = result.detections
        return pictures.draw(image, found[found.scores >= self.draw_above], self.names)


def check_apart(files: Sequence[ImageFile], folder: Path) -> None:
    """Pictures must neither replace the photographs they are drawn from nor be taken for some at the next run.

    Raises:
        UsageError: an input lies where pictures would be written.
    """
    inside = os.path.abspath(folder) + os.sep
    for file in files:
        if os.path.abspath(file.file).startswith(inside):
            raise UsageError(f"{file.file}: lies in {folder}, where pictures are written: choose another --out")
