"""Loader workers that are started anew, as on macOS and Windows, give what the training's own process would load."""

import multiprocessing

import cv2
import numpy as np
import pytest
import torch

from resdet.config import AugmentConfig, DetAugmentConfig
from resdet.data.detection import DetectionImages, detection_loader
from resdet.data.grouping import GroupedPlan, wide_images
from resdet.data.loading import TrainingImages, training_loader
from resdet.data.plan import Plan
from resdet.data.records import Classes, Record, pack


@pytest.fixture
def spawning():
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.slow
def test_spawned_workers_load_the_same(tmp_path, spawning):
    rng, rows = np.random.default_rng(0), []
    for i in range(8):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
        rows.append(Record(f"{i}.png", i % 2, [(5.0, 5.0, 25.0, 30.0)], size=(50, 40)))
    records = pack(tmp_path, Classes(("a", "b"), ("a", "b")), rows)
    crops = TrainingImages(records, AugmentConfig(brightness=0.4, hue=0.1))
    whole = DetectionImages(records, 2.0, DetAugmentConfig(brightness=0.4))
    grouped = GroupedPlan(wide_images(records), 2, 4, 3, (28, 36))
    for loader in (
        lambda workers: training_loader(crops, Plan(8, 4, 2, 3, ((0.0, 32),)), workers),
        lambda workers: detection_loader(whole, grouped, workers),
    ):
        here, there = list(loader(0)), list(loader(2))
        assert len(here) == len(there) > 1
        for one, other in zip(here, there, strict=True):
            assert torch.equal(one.images, other.images)
            assert one.indices == other.indices
            assert all(torch.equal(a.boxes, b.boxes) for a, b in zip(one.targets, other.targets, strict=True))
