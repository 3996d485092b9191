import pytest
import torch

from resdet.structures import Target
from resdet.targets.objects import pad_objects


def target(boxes, labels=None, ignored=None):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor(labels or [0] * len(boxes), dtype=torch.int64)
    return Target(-1, boxes, labels, None if ignored is None else torch.tensor(ignored))


def test_objects_of_a_batch_lie_side_by_side_and_ignored_ones_are_not_present():
    found = pad_objects(
        [target([(0, 0, 4, 4), (1, 1, 2, 2)], [2, 1], [False, True]), target([(5, 5, 9, 9)], [0])], torch.device("cpu")
    )
    assert found.boxes.tolist() == [[[0, 0, 4, 4], [1, 1, 2, 2]], [[5, 5, 9, 9], [0, 0, 0, 0]]]
    assert found.labels.tolist() == [[2, 1], [0, 0]]
    assert found.present.tolist() == [[True, False], [True, False]]
    assert found.ignored.tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_that_is_no_class_is_refused_where_it_is_to_be_learnt(label):
    """Counted from 1, the last class would be learnt as background."""
    box, cpu = [(0, 0, 4, 4)], torch.device("cpu")
    with pytest.raises(ValueError, match=rf"labels must be 0 .. 2, got \[{label}\] in image 1"):
        pad_objects([target(box, [2]), target(box, [label])], cpu, 3)
    pad_objects([target(box, [2]), target(box, [label], [True])], cpu, 3)


def test_a_batch_without_objects_has_one_place_that_holds_none():
    found = pad_objects([target([]), target([])], torch.device("cpu"))
    assert found.boxes.shape == (2, 1, 4)
    assert not found.present.any()
    assert not found.ignored.any()


def test_a_box_is_covered_where_half_of_it_lies_in_what_is_ignored():
    objects = pad_objects([target([(0, 0, 10, 10)], ignored=[True]), target([(0, 0, 10, 10)])], torch.device("cpu"))
    #        wholly in      half of it       less than half   a box around it: a quarter
    boxes = [(2, 2, 4, 4), (8, 0, 12, 10), (9, 0, 12, 10), (0, 0, 20, 20)]
    found = objects.covers(torch.tensor(boxes, dtype=torch.float32))
    assert found.tolist() == [[True, True, False, False], [False] * 4]  # the second image's box is an object


def test_boxes_are_padded_with_zeros_that_are_not_present():
    found = pad_objects([target([(1, 2, 3, 4)]), target([]), target([(1, 1, 2, 2), (5, 6, 7, 8)])], torch.device("cpu"))
    assert found.boxes.shape == (3, 2, 4)
    assert found.present.tolist() == [[True, False], [False, False], [True, True]]
    assert found.boxes[2].tolist() == [[1, 1, 2, 2], [5, 6, 7, 8]]
    assert not found.boxes[1].any()


def test_boxes_of_other_classes_are_as_if_they_were_not_there_where_only_the_own_one_learns():
    corners = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8], [0, 0, 9, 9]])
    mixed = Target(2, corners, torch.tensor([1, 2, 2]), torch.tensor([False, False, True]))
    other = Target(0, corners[:1], torch.tensor([1]))
    found = pad_objects([mixed, other], torch.device("cpu"), own_class=True)
    assert found.boxes.tolist() == [[[5, 6, 7, 8], [0, 0, 9, 9]], [[0] * 4] * 2]
    assert found.present.tolist() == [[True, False], [False, False]]
    assert found.ignored.tolist() == [[False, True], [False, False]]


def test_what_is_ignored_need_not_be_finite_and_covers_nothing_then():
    nowhere = (float("nan"), 0, float("inf"), 4)
    found = pad_objects([target([(0, 0, 4, 4), nowhere], ignored=[False, True])], torch.device("cpu"))
    assert found.present.tolist() == [[True, False]]
    assert found.covers(torch.tensor([(0.0, 0.0, 4.0, 4.0)])).tolist() == [[False]]
    with pytest.raises(ValueError, match="boxes to be learnt must be finite"):
        pad_objects([target([nowhere], ignored=[False])], torch.device("cpu"))
