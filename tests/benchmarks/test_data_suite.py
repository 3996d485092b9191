"""The loading suite: the same pixels as torchvision's, its own pictures or somebody's, and rows for all it measures."""

import itertools
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from resdet.benchmarks import data, photographs
from resdet.benchmarks.torchvision_loading import AREA, SHORTER_SIDE, TorchvisionImages, largest_difference
from resdet.config import AugmentConfig
from resdet.errors import InputError


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(photographs, "DRAWN", 3)
    monkeypatch.setattr(data, "BATCH", 4)


def test_every_row_is_there_and_the_answers_agree():
    rows = list(data.rows(torch.device("cpu"), runs=1, steps=3, workers=0, batch=2))
    assert [re.split(r" \(|:", row.name)[0] for row in rows] == [
        "random area and aspect",
        "random area and aspect, with boxes",
        "shorter side of 256 to 480",
        "shorter side of 256 to 480, with boxes",
        "loading alone",
        "training with loading",
    ]
    assert all(row.agree and row.ratio > 0 and row.ours_ms > 0 for row in rows)
    assert all(re.search(r": \d+ images/s", row.name) and "images/s" in row.peer for row in rows[4:])
    assert "3 JPEGs of about 500x375" in rows[0].name


def test_our_views_are_torchvisions_crops(tmp_path):
    records = photographs.photographs(None, tmp_path)
    for how in (data.AREA, data.SHORTER_SIDE):
        assert largest_difference(records, how, 224) < 0.5
        assert 0.5 < largest_difference(records, how, 64) < data.LEVEL  # decoded smaller
    assert largest_difference(records, AugmentConfig(crop="area", area=(0.5, 0.5)), 224) < 0.5


def test_torchvisions_batches_are_crops_of_the_images_in_turn(tmp_path):
    records = photographs.photographs(None, tmp_path)
    for crop, boxes in itertools.product((AREA, SHORTER_SIDE), (False, True)):
        theirs = TorchvisionImages(records, crop, 32, boxes=boxes)
        (batch,) = theirs.batch(4)
        assert (tuple(batch.shape), batch.dtype) == ((4, 3, 32, 32), torch.uint8)
        assert theirs.drawn == 4
    assert isinstance(theirs.transform, v2.Compose)


def test_somebodys_photographs_are_found_below_a_folder(tmp_path):
    (tmp_path / "own" / "deep").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    assert cv2.imwrite(str(tmp_path / "own" / "deep" / "a.JPG"), np.zeros((30, 40, 3), np.uint8))
    assert cv2.imwrite(str(tmp_path / "own" / "b.png"), np.zeros((30, 40, 3), np.uint8))
    records = photographs.photographs(tmp_path / "own", tmp_path / "work")
    assert records.sizes.tolist() == [[40, 30]]
    np.testing.assert_allclose(records[0].boxes, [(8, 6, 32, 24)])
    assert records.without_boxes()[0].boxes == []


def test_a_folder_without_jpegs_is_told(tmp_path):
    (tmp_path / "own").mkdir()
    assert cv2.imwrite(str(tmp_path / "own" / "b.png"), np.zeros((30, 40, 3), np.uint8))
    with pytest.raises(InputError, match="wanted JPEG files to measure with"):
        next(iter(data.rows(torch.device("cpu"), Path(tmp_path / "own"))))
