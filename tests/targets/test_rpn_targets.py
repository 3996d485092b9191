"""Targets of the RPN on four anchors that tile 40 x 40 pixels, and a few more."""

import pytest
import torch

from resdet.boxes.anchors import anchor_grid, anchor_shapes
from resdet.structures import Target
from resdet.targets.objects import pad_objects
from resdet.targets.rpn import assign_rpn

TILES = anchor_grid(anchor_shapes((20,), (1,)), height=2, width=2, stride=20)


def target(*boxes, ignored=None):
    labels = torch.zeros(len(boxes), dtype=torch.int64)
    flags = None if ignored is None else torch.tensor(ignored)
    return Target(-1, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), labels, flags)


def assign(*targets, anchors=TILES, usable=None, count=4, share=0.5):
    objects = pad_objects(targets, torch.device("cpu"))
    if usable is None:
        usable = torch.ones(len(targets), len(anchors), dtype=torch.bool)
    return assign_rpn(anchors, usable, objects, count=count, share=share, positive=0.7, negative=0.3)


def said(found, image=0):
    """What each drawn anchor is to say, by the anchor's place."""
    rows = zip(found.index[image].tolist(), found.label[image].tolist(), found.boxes[image].tolist(), strict=True)
    return {i: (label, tuple(box)) for i, label, box in rows if label >= 0}


NOTHING = (0, 0, 0, 0)


def test_the_tile_of_an_object_is_told_its_box_and_the_others_are_background():
    found = assign(target((21, 0, 40, 20)))  # IoU 0.95 with the second tile
    assert said(found) == {0: (0, NOTHING), 1: (1, (21, 0, 40, 20)), 2: (0, NOTHING), 3: (0, NOTHING)}


def test_the_best_anchor_is_an_object_however_little_it_overlaps_and_the_next_best_is_neither():
    # on the first tile 10 x 20 of 600: IoU 1/3; on the second 8 x 20: 160 / 640 = 1/4, background
    assert said(assign(target((10, 0, 28, 20)))) == {
        0: (1, (10, 0, 28, 20)), 1: (0, NOTHING), 2: (0, NOTHING), 3: (0, NOTHING),
    }  # fmt: skip
    # first tile: 12 x 20 / (400 + 400 - 240) = 0.43, the best; second: 8 x 20 / 640 = 0.25
    # third, half as high as the object: 0.21: background all; with a larger box the second is in between:
    found = assign(target((9, 0, 30, 20)))  # 220 / 600 = 0.37 and 200 / 620 = 0.32
    assert said(found) == {0: (1, (9, 0, 30, 20)), 2: (0, NOTHING), 3: (0, NOTHING)}


def test_an_image_without_objects_gives_background_only():
    found = assign(target(), target((0, 0, 20, 20)))
    assert said(found, 0) == dict.fromkeys(range(4), (0, NOTHING))
    assert said(found, 1)[0] == (1, (0, 0, 20, 20))


def test_an_anchor_that_is_not_usable_is_never_drawn_and_takes_no_object_from_the_others():
    usable = torch.tensor([[True, False, True, True]])
    # the second tile overlaps it most (0.8) and is not there: the first, with 4 x 20 of 720, is the best then
    assert said(assign(target((16, 0, 36, 20)), usable=usable)) == {
        0: (1, (16, 0, 36, 20)), 2: (0, NOTHING), 3: (0, NOTHING),
    }  # fmt: skip


def test_anchors_in_what_is_ignored_are_neither_objects_nor_background():
    found = assign(target((0, 0, 40, 15), ignored=[True]))  # covers three quarters of the upper tiles
    assert said(found) == {2: (0, NOTHING), 3: (0, NOTHING)}
    found = assign(target((0, 0, 40, 15), (0, 0, 20, 20), ignored=[True, False]))
    assert said(found) == {0: (1, (0, 0, 20, 20)), 2: (0, NOTHING), 3: (0, NOTHING)}  # a real object wins


def test_at_most_the_share_of_what_is_drawn_are_objects():
    anchors = anchor_grid(anchor_shapes((20,), (1,)), height=4, width=4, stride=20)
    boxes = [tuple(box) for box in anchors[:10].tolist()]
    for seed in range(5):
        torch.manual_seed(seed)
        found = assign(target(*boxes), anchors=anchors, count=8, share=0.25)
        assert found.label[0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
        for i, (label, box) in said(found).items():
            assert box == (boxes[i] if label == 1 else NOTHING)
            assert (i < 10) == (label == 1)


@pytest.mark.parametrize("count", [1, 64])
def test_there_are_always_as_many_places_as_were_asked_for(count):
    found = assign(target((0, 0, 20, 20)), count=count)
    assert found.index.shape == found.label.shape == (1, count)
    assert (found.label >= 0).sum() == min(count, 4)
