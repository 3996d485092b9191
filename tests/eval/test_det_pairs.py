"""All pairs of detections and true boxes that overlap, against torchvision and plain loops."""

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from resdet.eval import det_pairs
from resdet.eval.det_pairs import overlapping, paired_iou, share_inside


def random_boxes(count, seed, side=1.5):
    draw = np.random.default_rng(seed)
    corner = draw.random((count, 2)) * side
    return np.concatenate((corner, corner + draw.random((count, 2)) * side), axis=1)  # mostly less than a pixel wide


def test_overlaps_are_torchvisions_also_of_boxes_below_a_pixel():
    a, b = random_boxes(200, 0), random_boxes(200, 1)
    expected = box_iou(torch.from_numpy(a), torch.from_numpy(b)).diagonal()
    np.testing.assert_allclose(paired_iou(a, b), expected, atol=1e-12)


def test_boxes_without_an_area_or_upside_down_overlap_nothing():
    whole, line, turned = (0.0, 0, 10, 10), (2.0, 2, 2, 8), (8.0, 8, 2, 2)
    a, b = np.array([whole, line, line, turned, turned]), np.array([line, whole, line, whole, turned])
    assert paired_iou(a, b).tolist() == share_inside(a, b).tolist() == [0, 0, 0, 0, 0]
    huge = np.array([(-1e200, -1e200, 1e200, 1e200)])
    assert paired_iou(huge, huge).tolist() == [0]  # nor do boxes whose area no number holds


def test_the_share_inside_is_of_the_first_boxes_own_area():
    a, b = np.array([(0.0, 0, 0.5, 0.25), (0, 0, 4, 4)]), np.array([(0.25, 0.0, 9, 9), (2, 2, 99, 99)])
    assert share_inside(a, b).tolist() == [0.5, 0.25]


@pytest.mark.parametrize("at_once", [1, 7, 1_000_000])
def test_pairs_of_one_group_that_overlap_enough_come_by_detection_then_by_true_box(at_once, monkeypatch):
    monkeypatch.setattr(det_pairs, "PAIRS_AT_ONCE", at_once)
    draw = np.random.default_rng(2)
    found, truth, least = random_boxes(60, 3), random_boxes(40, 4), draw.uniform(0.05, 0.5, 40)
    found_groups, truth_groups = draw.integers(0, 5, 60), draw.integers(1, 6, 40)  # some have none of the others
    expected = []
    for i in range(60):
        for j in range(40):
            overlap = paired_iou(found[i : i + 1], truth[j : j + 1])[0]
            if found_groups[i] == truth_groups[j] and overlap >= least[j]:
                expected.append((i, j, overlap))
    pairs = overlapping(found_groups, found, truth_groups, truth, least)
    assert list(zip(pairs.found.tolist(), pairs.truth.tolist(), pairs.overlap.tolist(), strict=True)) == expected
    assert len(expected) > 20
