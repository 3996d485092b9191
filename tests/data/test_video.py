"""Videos frame by frame: all of them, upright, and what a damaged file says."""

import cv2
import numpy as np
import pytest

from resdet.data.video import frame_count, frame_rate, frames, is_video, viewed_frames
from resdet.errors import InputError
from resdet.structures import View

GREY = (20, 60, 100, 140, 180, 220)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write(tmp_path_factory.mktemp("clips") / "clip 1.mkv")


def write(file, greys=GREY, size=(64, 48)):
    """A frame a grey, its left half red."""
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"mp4v"), 8, size)
    assert writer.isOpened()
    for grey in greys:
        frame = np.full((size[1], size[0], 3), grey, np.uint8)
        frame[:, : size[0] // 2] = (0, 0, 255)  # OpenCV's order: red
        writer.write(frame)
    writer.release()
    return file


def whole(width, height):
    return [View((0, 0, width, height), width // 2, height // 2), View((0, 0, width, height), width, height)]


def test_every_frame_comes_in_its_order_and_in_rgb(clip):
    found = list(frames(clip))
    assert [frame.shape for frame in found] == [(48, 64, 3)] * 6
    for frame, grey in zip(found, GREY, strict=True):
        assert abs(frame[:, 40:].mean() - grey) < 6
        assert frame[20, 10, 0] > 200 > 60 > frame[20, 10, 2], "red first"
    assert (frame_count(clip), frame_rate(clip)) == (6, 8)


def test_batches_of_frames_are_cut_into_views(clip):
    batches = list(viewed_frames(clip, whole, batch_size=4))
    assert [len(batch) for batch in batches] == [4, 2]
    every = [image for batch in batches for image in batch]
    assert [image.index for image in every] == list(range(6))
    assert all((image.width, image.height, image.error) == (64, 48, None) for image in every)
    assert [pixels.shape for pixels in every[0].pixels] == [(24, 32, 3), (48, 64, 3)]


def test_a_cut_video_gives_its_frames_and_then_says_so(clip, tmp_path):
    data = clip.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 2 // 3])
    every = [image for batch in viewed_frames(tmp_path / "cut.mkv", whole, 3) for image in batch]
    assert 0 < len(every) - 1 < 6
    assert [image.error is None for image in every] == [True] * (len(every) - 1) + [False]
    assert f"ends after frame {len(every) - 1} of 6" in every[-1].error


@pytest.mark.parametrize("content", [None, b"", b"no video", b"\x00\x00\x00\x18ftypmp42" + bytes(60)])
def test_what_is_no_video_is_one_line(tmp_path, content, capfd):
    file = tmp_path / "a.mp4"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mp4: (not found|wanted a video)"):
        list(frames(file))
    (batch,) = viewed_frames(file, whole, 4)
    assert [image.error is not None for image in batch] == [True]
    assert frame_count(file) == 0
    assert capfd.readouterr().err == ""


def test_a_folder_called_like_a_video_is_none(tmp_path):
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(InputError, match=r"a\.mp4: not found"):
        list(frames(tmp_path / "a.mp4"))


def test_videos_are_told_by_their_ending(tmp_path):
    assert is_video(tmp_path / "a.MP4")
    assert not is_video(tmp_path / "a.gif"), "an animation is read as its first frame"
