"""The line that every localizer has to beat, on real photographs: the whole image as the answer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from resdet.data.formats import open_records
from resdet.eval.loc import loc_outcomes
from resdet.predictions.loc import LocPredictions


def test_the_whole_image_as_the_box_fails_on_what_torchvisions_iou_says(data_root: Path) -> None:
    records = open_records(f"tiny-imagenet:{data_root}/tiny-imagenet-200:val")
    whole = np.tile([0.0, 0.0, 63.0, 63.0], (len(records), 1, 1))
    hits = loc_outcomes(LocPredictions(records.labels.numpy()[:, None], whole), records).gt_class_hits
    # one box an image, its far edge one past the last pixel: plain areas are the devkit's inclusive ones
    iou = box_iou(records.boxes.double(), torch.tensor([[0.0, 0, 64, 64]], dtype=torch.float64))[:, 0]
    assert hits.tolist() == (iou >= 0.5).double().tolist()
    assert 100 * (1 - hits.mean()) == pytest.approx(47.46)
