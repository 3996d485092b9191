import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resdet.predictions.inclusive import as_inclusive, from_inclusive
from resdet.predictions.loc import LocPredictions, to_inclusive


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        ((0, 0, 64, 48), (0, 0, 63, 47)),  # the whole image
        ((10.4, 10.6, 20.4, 20.6), (10, 11, 19, 20)),  # to the nearest
        ((10.5, 10, 20.5, 20), (11, 10, 20, 19)),  # halves up
        ((-7.2, -3, 80, 50), (0, 0, 63, 47)),  # clipped to the image
        ((10.1, 10, 10.3, 20), (10, 10, 10, 19)),  # thinner than a pixel becomes one
        ((70, 10, 80, 20), (63, 10, 63, 19)),  # wholly outside: the nearest column
    ],
)
def test_boxes_worked_by_hand(box, wanted):
    assert to_inclusive([box], 64, 48).tolist() == [list(wanted)]


def test_without_a_size_nothing_is_clipped():
    assert to_inclusive([(-7, 2, 900, 1000)]).tolist() == [[-7, 2, 899, 999]]


def test_coordinates_that_no_whole_number_holds_are_as_far_as_the_image(recwarn):
    assert to_inclusive([(-1e30, 1e30, 1e30, 1e300)], 64, 48).tolist() == [[0, 47, 63, 47]]
    assert not recwarn.list


def test_each_image_may_have_its_own_size():
    boxes = torch.tensor([[[0, 0, 99, 99]] * 2] * 3, dtype=torch.float32)  # (3, 2, 4)
    width, height = np.array([10, 20, 200]), np.array([5, 6, 7])
    pixels = to_inclusive(boxes, width[:, None], height[:, None])
    assert pixels[:, 0].tolist() == pixels[:, 1].tolist() == [[0, 0, 9, 4], [0, 0, 19, 5], [0, 0, 98, 6]]


@given(st.tuples(*[st.integers(0, 63)] * 4))
def test_an_inclusive_box_comes_back_from_the_continuous_frame(corners):
    (x1, x2), (y1, y2) = sorted(corners[:2]), sorted(corners[2:])
    assert to_inclusive([(x1, y1, x2 + 1, y2 + 1)], 64, 64).tolist() == [[x1, y1, x2, y2]]


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=4, max_size=4))
def test_every_result_is_a_box_inside_the_image(edges):
    x1, y1, x2, y2 = to_inclusive([edges], 30, 20)[0].tolist()
    assert 0 <= x1 <= x2 <= 29
    assert 0 <= y1 <= y2 <= 19


def test_in_files_of_detections_edges_are_hundredths_and_the_last_pixel_is_inside():
    box = np.array([[10.123, 20.457, 30.0, 40.999]])
    assert as_inclusive(box, 0).tolist() == [[10.12, 20.46, 29, 40]]  # ILSVRC counts from 0
    assert as_inclusive(box, 1).tolist() == [[11.12, 21.46, 30, 41]]  # VOC from 1
    assert from_inclusive(np.array([[11, 21, 30, 41]]), 1).tolist() == [[10, 20, 30, 41]]


def test_no_boxes_stay_no_boxes():
    assert to_inclusive(torch.zeros(0, 4), 10, 10).shape == (0, 4)


def test_a_coordinate_that_is_not_finite_is_refused():
    with pytest.raises(FloatingPointError, match="1 boxes have a coordinate that is not finite"):
        to_inclusive([(0, 0, 5, 5), (0, 0, float("nan"), 5)], 10, 10)


def test_predictions_must_have_a_box_for_each_guess():
    with pytest.raises(ValueError, match=r"boxes must be \(3, 5, 4\), got \(3, 4, 4\)"):
        LocPredictions(np.zeros((3, 5), dtype=np.int64), np.zeros((3, 4, 4)))
    with pytest.raises(ValueError, match=r"labels must be \(N, k\), got \(3,\)"):
        LocPredictions(np.zeros(3, dtype=np.int64), np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"gt_class_boxes must be \(3, 4\), got \(2, 4\)"):
        LocPredictions(np.zeros((3, 5), dtype=np.int64), np.zeros((3, 5, 4)), np.zeros((2, 4)))
