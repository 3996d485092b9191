import pytest
import torch

from resdet.structures import Target
from resdet.targets.dominant import dominant_boxes

SMALL, LARGE, LARGEST = (0.0, 0.0, 10.0, 10.0), (5.0, 5.0, 30.0, 25.0), (0.0, 0.0, 40.0, 40.0)
CPU = torch.device("cpu")


def target(label: int, *boxes: tuple[float, ...], labels=None, ignored=None) -> Target:
    labels = torch.tensor(labels or [label] * len(boxes), dtype=torch.int64)
    ignored = torch.tensor(ignored or [False] * len(boxes), dtype=torch.bool)
    return Target(label, torch.tensor(boxes).reshape(-1, 4), labels, ignored)


def test_the_largest_box_of_the_images_own_class_is_taken():
    several = target(2, SMALL, LARGE)
    other_class = target(2, SMALL, LARGEST, labels=[2, 1])
    crowd = target(2, LARGEST, LARGE, ignored=[True, False])
    boxes, present = dominant_boxes((several, other_class, crowd), CPU)
    assert boxes.tolist() == [list(LARGE), list(SMALL), list(LARGE)]
    assert present.tolist() == [True, True, True]


def test_of_boxes_as_large_the_first_is_taken():
    boxes, _ = dominant_boxes((target(0, (0.0, 0.0, 4.0, 9.0), (1.0, 1.0, 7.0, 7.0)),), CPU)
    assert boxes.tolist() == [[0, 0, 4, 9]]


def test_an_image_without_a_box_of_its_class_has_none():
    boxes, present = dominant_boxes((target(1), target(1, SMALL, labels=[0]), target(1, SMALL)), CPU)
    assert present.tolist() == [False, False, True]
    assert not boxes[:2].any()


def test_an_empty_batch_has_empty_columns():
    boxes, present = dominant_boxes((), CPU)
    assert (boxes.shape, present.shape) == ((0, 4), (0,))


@pytest.mark.parametrize("empty", [(4.0, 2.0, 4.0, 9.0), (30.0, 30.0, 2.0, 3.0)])
def test_a_box_without_an_area_is_none(empty):
    boxes, present = dominant_boxes((target(1, empty), target(1, empty, SMALL)), CPU)
    assert present.tolist() == [False, True]
    assert boxes.tolist() == [[0, 0, 0, 0], list(SMALL)]
