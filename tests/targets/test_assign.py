import torch

from resdet.boxes.anchors import anchor_grid, anchor_shapes
from resdet.structures import Target
from resdet.targets.assign import assign_anchors


def target(*boxes) -> Target:
    return Target(
        0, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.zeros(len(boxes), dtype=torch.int64)
    )


# four anchors that tile 40 x 40, row by row
TILES = anchor_grid(anchor_shapes((20,), (1,)), height=2, width=2, stride=20)


def assign(*targets, count=4, positive=0.7, negative=0.3):
    return assign_anchors(TILES, targets, count, positive, negative)


def test_an_image_whose_boxes_are_of_other_classes_is_background():
    other = Target(0, torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([1]))
    assert assign(other).label.tolist() == [[0, 0, 0, 0]]


def test_tile_of_an_object_is_told_its_box_and_the_others_are_background():
    found = assign(target((21, 0, 40, 20)))
    assert found.index[0, 0] == 1  # objects come first
    assert found.label.tolist() == [[1, 0, 0, 0]]
    assert found.boxes[0].tolist() == [[21, 0, 40, 20], [0] * 4, [0] * 4, [0] * 4]
    assert sorted(found.index[0].tolist()) == [0, 1, 2, 3]


def test_each_of_two_objects_gets_its_own_box_in_its_own_image():
    a, b, c = (0.0, 0.0, 20.0, 19.0), (20.0, 20.0, 39.0, 40.0), (0.0, 20.0, 20.0, 41.0)
    found = assign(target(a, b), target(c))
    rows = [dict(zip(i, t, strict=True)) for i, t in zip(found.index.tolist(), found.boxes.tolist(), strict=True)]
    assert rows[0][0] == list(a)
    assert rows[0][3] == list(b)
    assert rows[1][2] == list(c)
    assert (found.label == 1).sum(1).tolist() == [2, 1]


def test_images_without_boxes_are_all_background_alone_or_beside_others():
    for found in (assign(target(), target()), assign(target((0, 0, 20, 20)), target())):
        assert found.label[1].tolist() == [0, 0, 0, 0]
        assert not found.boxes[1].any()
        assert found.boxes.shape == (2, 4, 4)


def test_small_box_takes_the_tile_that_holds_it():
    found = assign(target((30, 10, 31, 11)))
    assert found.index[0, 0] == 1
    assert found.label[0].tolist() == [1, 0, 0, 0]


def test_box_that_lies_outside_every_anchor_makes_no_object():
    assert (assign(target((100, 100, 120, 120))).label == 0).all()
