import numpy as np
import pytest

from resdet.eval.devkit_iou import inclusive_iou


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        ((0, 0, 9, 9), (0, 0, 9, 9), 1.0),
        ((0, 0, 9, 9), (0, 0, 9, 4), 0.5),  # 50 of 100 pixels
        ((0, 0, 9, 9), (5, 0, 14, 9), 50 / 150),
        ((0, 0, 9, 9), (9, 9, 18, 18), 1 / 199),  # they share one pixel, the corner
        ((3, 3, 3, 3), (3, 3, 3, 3), 1.0),  # one pixel
        ((0, 0, 9, 9), (10, 0, 19, 9), -1.0),  # neighbours share none
        ((0, 0, 9, 9), (20, 20, 29, 29), -1.0),  # apart along both axes: two negatives make no overlap
        ((9, 9, 0, 0), (0, 0, 9, 9), -1.0),  # upside down
    ],
)
def test_pixels_are_counted_with_both_ends(a, b, wanted):
    assert inclusive_iou(a, b) == wanted
    assert inclusive_iou(b, a) == wanted


def count_pixels(box):
    x1, y1, x2, y2 = box
    return {(x, y) for x in range(x1, x2 + 1) for y in range(y1, y2 + 1)}


def test_every_pair_agrees_with_sets_of_pixels():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 8, (2, 12, 2, 2))
    boxes = np.concatenate((corners.min(2), corners.max(2)), axis=-1)  # (2, 12, 4)
    ious = inclusive_iou(boxes[0][:, None], boxes[1][None])
    for i, a in enumerate(boxes[0].tolist()):
        for j, b in enumerate(boxes[1].tolist()):
            shared, both = count_pixels(a) & count_pixels(b), count_pixels(a) | count_pixels(b)
            assert ious[i, j] == (len(shared) / len(both) if shared else -1.0)


def test_an_unknown_box_overlaps_nothing():
    assert inclusive_iou([np.nan] * 4, (0, 0, 9, 9)) == -1.0
