"""A video written frame by frame is read back, and is not there before it is whole."""

import numpy as np
import pytest

from resdet.data.video import frame_rate, frames
from resdet.errors import InputError
from resdet.report.video import VideoFile


def picture(grey, size=(48, 64)):
    return np.full((*size, 3), (grey, 40, 200), np.uint8)


def test_frames_come_back_as_they_were_written(tmp_path):
    video = VideoFile(tmp_path / "deep/er/clip.mp4", 12)
    for grey in (30, 90, 150):
        video.add(picture(grey))
        assert not video.file.exists()
    video.close()
    found = list(frames(video.file))
    assert len(found) == 3
    for frame, grey in zip(found, (30, 90, 150), strict=True):
        assert np.abs(frame.astype(int) - (grey, 40, 200)).mean() < 8
    assert frame_rate(video.file) == 12
    assert [file.name for file in video.file.parent.iterdir()] == ["clip.mp4"]


def test_odd_sides_lose_their_last_line(tmp_path):
    video = VideoFile(tmp_path / "clip.mp4", 25)
    video.add(picture(30, (47, 63)))
    video.close()
    assert [frame.shape for frame in frames(video.file)] == [(46, 62, 3)]


def test_without_frames_there_is_no_file(tmp_path):
    VideoFile(tmp_path / "clip.mp4", 25).close()
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "clip.part.mp4").mkdir()
    with pytest.raises(InputError, match=r"clip\.mp4: a video of 64 x 48 pixels cannot be written"):
        VideoFile(tmp_path / "clip.mp4", 25).add(picture(30))
