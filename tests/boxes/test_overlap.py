import math

import pytest
import torch
from torchvision.ops import box_iou

from resdet.boxes.overlap import pairwise_cover, pairwise_iou


def random_boxes(count: int, seed: int) -> torch.Tensor:
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed)) * 200 - 50
    return torch.cat((corners.amin(1), corners.amax(1)), 1)


def test_half_covered_square_worked_by_hand():
    # 4x4 and 4x4, shifted by 2: intersection 2 * 4, union 16 + 16 - 8
    a = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    b = torch.tensor([[2.0, 0.0, 6.0, 4.0], [1.0, 1.0, 2.0, 3.0], [4.0, 0.0, 8.0, 4.0], [9.0, 9.0, 10.0, 10.0]])
    torch.testing.assert_close(pairwise_iou(a, b), torch.tensor([[8 / 24, 2 / 16, 0.0, 0.0]]))


def test_no_pixel_is_added_to_a_side():
    """The inclusive-pixel rule would give (2 * 2) / (3 * 3)."""
    iou = pairwise_iou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[0.0, 0.0, 2.0, 2.0]]))
    assert iou.item() == 0.25


def test_equals_torchvision_on_random_boxes():
    a, b = random_boxes(40, 0), random_boxes(30, 1)
    iou = pairwise_iou(a, b)
    assert (iou > 0).float().mean() > 0.2
    torch.testing.assert_close(iou, box_iou(a, b))


def test_box_with_itself_is_exactly_one():
    boxes = random_boxes(100, 2) * 10
    assert pairwise_iou(boxes, boxes).diagonal().eq(1).all()


@pytest.mark.parametrize("box", [(3, 3, 3, 3), (3, 3, 3, 9), (9, 9, 3, 3), (9, 0, 3, 9)], ids=str)
def test_degenerate_boxes_score_zero_not_nan(box):
    degenerate, whole = torch.tensor([box], dtype=torch.float32), torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    for a, b in ((degenerate, whole), (whole, degenerate), (degenerate, degenerate)):
        assert pairwise_iou(a, b).tolist() == [[0.0]]


def test_leading_dimensions_are_images_and_broadcast():
    a = random_boxes(7, 3)
    b = random_boxes(15, 4).view(3, 5, 4)
    iou = pairwise_iou(a, b)
    assert iou.shape == (3, 7, 5)
    for image in range(3):
        torch.testing.assert_close(iou[image], box_iou(a, b[image]))
    both = pairwise_iou(random_boxes(6, 5).view(3, 2, 4), b)
    torch.testing.assert_close(both[2], box_iou(random_boxes(6, 5)[4:], b[2]))


def test_no_boxes_give_an_empty_table():
    none, some = torch.zeros(0, 4), random_boxes(3, 0)
    assert pairwise_iou(none, some).shape == (0, 3)
    assert pairwise_iou(some, none).shape == (3, 0)


def test_symmetric_and_within_zero_and_one():
    a = random_boxes(50, 6)
    a[::7, 2] = a[::7, 0]  # some without width
    iou = pairwise_iou(a, a)
    torch.testing.assert_close(iou, iou.T)
    assert iou.min() == 0
    assert iou.max() == 1
    assert not math.isnan(iou.sum())


def test_cover_is_the_share_of_the_first_box_in_the_second():
    first = torch.tensor([[0, 0, 10, 10], [5, 5, 15, 15], [2, 2, 2, 9]], dtype=torch.float32)
    second = torch.tensor([[0, 0, 10, 5], [0, 0, 100, 100]], dtype=torch.float32)
    assert pairwise_cover(first, second).tolist() == [[0.5, 1.0], [0.0, 1.0], [0.0, 0.0]]
    assert pairwise_cover(first, second[:, None])[1].tolist() == [[1.0], [1.0], [0.0]]
