"""Detectors and localizers over videos: a line a frame, a drawn copy, broken files."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from detecting import EVERY, infer, rows

from resdet.data.video import frame_count


def write_video(file, frames=7, size=(64, 48)):
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"mp4v"), 10, size)
    assert writer.isOpened()
    for i in range(frames):
        writer.write(np.random.default_rng(i).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    writer.release()
    return file


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs")
    for i, name in enumerate(("a.png", "b.png")):
        cv2.imwrite(str(root / name), np.random.default_rng(i).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    return root


def test_a_video_has_a_line_a_frame_and_a_drawn_copy(clip, photographs, det_weights, tmp_path):
    inputs = (photographs / "a.png", clip, photographs / "b.png")
    assert infer(*inputs, "--weights", det_weights, "--out", tmp_path, "--format", EVERY) == 0
    told = rows(tmp_path)
    files = [row["file"] for row in told]
    assert files == [str(photographs / "a.png"), *(f"{clip}#{i:06d}" for i in range(7)), str(photographs / "b.png")]
    assert all((row["width"], row["height"]) == (64, 48) and row["detections"] for row in told[1:8])
    assert [image["id"] for image in json.loads((tmp_path / "images.json").read_text())["images"]] == list(range(1, 10))
    assert "clip#000003" in (tmp_path / "predictions/comp4_det_test_bee.txt").read_text()
    drawn = [*(tmp_path / "images").rglob("*.mp4")]
    assert [file.name for file in drawn] == ["clip.mp4"]
    assert frame_count(drawn[0]) == 7
    video = cv2.VideoCapture(str(drawn[0]))
    assert video.get(cv2.CAP_PROP_FPS) == 10
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 384, "enlarged as small photographs are, for the names"


def test_frames_are_answered_as_photographs_of_them(clip, det_weights, tmp_path):
    common = ("--weights", det_weights, "--out", tmp_path / "out", "--format", "jsonl")
    infer(clip, *common)
    of_video = rows(tmp_path / "out")[4]["detections"]
    video = cv2.VideoCapture(str(clip))
    frames = [video.read()[1] for _ in range(7)]
    cv2.imwrite(str(tmp_path / "4.png"), frames[4])
    infer(tmp_path / "4.png", *common)
    alone = rows(tmp_path / "out")[0]["detections"]
    assert [d["label"] for d in alone] == [d["label"] for d in of_video]
    for one, other in zip(alone, of_video, strict=True):
        assert one["box"] == pytest.approx(other["box"], abs=1e-2)


def test_broken_videos_are_bad_images(clip, det_weights, tmp_path, capfd):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.avi").touch()
    (tmp_path / "good.mp4").write_bytes(clip.read_bytes())
    assert infer(tmp_path, "--weights", det_weights, "--out", tmp_path / "out", "--format", EVERY) == 0
    told = rows(tmp_path / "out")
    assert [Path(row["file"]).name for row in told if row["error"]] == ["empty.avi", "text.mp4"]
    assert len([row for row in told if row["error"] is None]) == 7
    out, err = capfd.readouterr()
    assert [line.split(":")[0] for line in err.splitlines()] == ["skipped", "skipped"], "FFmpeg and OpenCV keep quiet"
    assert "9 images, 2 of them skipped" in out
    common = ("--weights", det_weights, "--out", tmp_path / "two", "--format", "jsonl", "--on-bad-image", "fail")
    assert infer(tmp_path / "text.mp4", *common) == 1
    assert "text.mp4: wanted a video" in capfd.readouterr().err


def test_localizers_look_at_videos_too(clip, loc_weights, cls_weights, tmp_path, capsys):
    assert infer(clip, "--weights", loc_weights, "--out", tmp_path, "--format", "jsonl,csv,images") == 0
    told = rows(tmp_path)
    assert [len(row["detections"]) for row in told] == [3] * 7
    assert (tmp_path / "images/clip.mp4").exists()
    words = ("--weights", loc_weights, "--out", tmp_path / "no", "--classifier", cls_weights)
    assert infer(clip, *words) == 2
    assert "not through videos" in capsys.readouterr().err
