"""A video file as the frames a person sees, decoded by OpenCV's FFmpeg, one after another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from resdet.data.image import check_size
from resdet.data.stored_image import of_pixels
from resdet.data.viewed_images import ViewedImage
from resdet.errors import InputError
from resdet.structures import View

ENDINGS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
DEFAULT_RATE = 25.0  # frames a second, where the file does not say
MISSING_SHARE = 0.05  # of the frames that a header announces: some count a few too many, a cut file lacks more

# What is wrong is said in one line, ours, and not in FFmpeg's own; OpenCV looks at this once, at its first video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def is_video(file: Path) -> bool:
    """Whether a file is taken for a video, by its ending."""
    return file.suffix.lower() in ENDINGS


def frames(file: Path) -> Iterator[np.ndarray]:
    """Every frame, ``(H, W, 3)`` uint8 RGB, turned as the file says.

    Raises:
        InputError: the file is missing, no video or without frames, or of frames of over
            :data:`resdet.data.image.MAX_PIXELS`; after the last frame: it ends earlier than its header says.
    """
    with _opened(file) as video:
        check_size(file, int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        number = 0
        while (frame := video.read()[1]) is not None:
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            number += 1
        announced = _announced(video)
    if not number:
        raise InputError(f"{file}: a video without a frame that can be decoded")
    if number < announced * (1 - MISSING_SHARE) - 1:
        raise InputError(f"{file}: damaged or cut: ends after frame {number} of {announced}")


def frame_count(file: Path) -> int:
    """How many frames the header announces: for a bar of progress; 0 where it does not, or cannot be read."""
    try:
        with _opened(file) as video:
            return _announced(video)
    except InputError:
        return 0


def frame_rate(file: Path) -> float:
    """Frames a second.

    Raises:
        InputError: the file is missing or no video.
    """
    with _opened(file) as video:
        rate = video.get(cv2.CAP_PROP_FPS)
    return rate if 0 < rate < 1000 else DEFAULT_RATE


def viewed_frames(
    file: Path, views: Callable[[int, int], list[View]], batch_size: int, start: int = 0
) -> Iterator[list[ViewedImage]]:
    """Batches of frames cut into ``views`` of their width and height; ``index`` is the frame's number, from 0.

    What is wrong with the video comes last, as an image with an ``error``.

    Args:
        start: the first frame that is wanted; those before it are decoded, as each builds on others, and left out.
    """
    batch: list[ViewedImage] = []
    number = 0
    try:
        for number, frame in enumerate(frames(file), 1):
            if number <= start:
                continue
            height, width = frame.shape[:2]
            of_frame = tuple(views(width, height))
            batch.append(ViewedImage(number - 1, width, height, of_frame, of_pixels(frame, file).views(of_frame)))
            if len(batch) == batch_size:
                yield batch
                batch = []
    except InputError as error:
        batch.append(ViewedImage(number, 0, 0, (), (), str(error)))
    if batch:
        yield batch


@contextmanager
def _opened(file: Path) -> Iterator[cv2.VideoCapture]:
    if not file.is_file():
        raise InputError(f"{file}: not found")
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        # by FFmpeg alone: OpenCV would take a name with a number in it for one of a row of pictures
        video = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(before)
    try:
        if not video.isOpened():
            raise InputError(f"{file}: wanted a video, got something else or a damaged one")
        yield video
    finally:
        video.release()


def _announced(video: cv2.VideoCapture) -> int:
    announced = video.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(announced) if 0 < announced < 1e9 else 0
