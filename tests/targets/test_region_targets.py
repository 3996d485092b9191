"""Which proposals are learnt from, and as what."""

import torch

from resdet.structures import Target
from resdet.targets.objects import pad_objects
from resdet.targets.regions import sample_regions

CLASSES = 3  # so that 3 is background
NOTHING = (0.0, 0.0, 0.0, 0.0)


def target(*boxes, labels=None, ignored=None):
    labels = torch.tensor(labels or [0] * len(boxes), dtype=torch.int64)
    flags = None if ignored is None else torch.tensor(ignored)
    return Target(-1, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), labels, flags)


def sampled(targets, proposals, count=8, share=0.5, foreground=0.5, background=(0.0, 0.5)):
    most = max(len(p) for p in proposals)
    boxes, present = torch.zeros(len(proposals), most, 4), torch.zeros(len(proposals), most, dtype=torch.bool)
    for i, given in enumerate(proposals):
        boxes[i, : len(given)], present[i, : len(given)] = torch.tensor(given).reshape(-1, 4), True
    objects = pad_objects(targets, torch.device("cpu"))
    how = {"classes": CLASSES, "count": count, "share": share, "foreground": foreground, "background": background}
    return sample_regions(boxes, present, objects, **how)


def rows(found, image=0):
    """What is to be said of each region, by its box."""
    columns = (found.boxes[image].tolist(), found.label[image].tolist(), found.wanted[image].tolist())
    return {tuple(b): (label, tuple(w)) for b, label, w in zip(*columns, strict=True) if label >= 0}


BOX = (0.0, 0.0, 20.0, 20.0)


def test_a_region_is_its_objects_class_from_half_overlap_on_and_background_below():
    half, less, far = (0.0, 0.0, 20.0, 10.0), (0.0, 0.0, 20.0, 9.0), (50.0, 50.0, 60.0, 60.0)
    found = sampled([target(BOX, labels=[2])], [[half, less, far]])
    assert rows(found) == {BOX: (2, BOX), half: (2, BOX), less: (3, NOTHING), far: (3, NOTHING)}
    assert found.label[0].tolist().count(-1) == 4


def test_objects_own_boxes_are_regions_though_nothing_is_proposed():
    found = sampled([target(BOX, (30, 30, 40, 40), labels=[1, 0])], [[]])
    assert rows(found) == {BOX: (1, BOX), (30, 30, 40, 40): (0, (30, 30, 40, 40))}


def test_the_padding_of_proposals_and_of_objects_is_never_drawn():
    targets = [target(BOX, labels=[1]), target(*[(i, i, i + 5.0, i + 5) for i in range(6)])]
    found = sampled(targets, [[(60.0, 60, 70, 70)], [(60.0, 60, 70, 70)] * 3], count=16)
    assert rows(found, 0) == {BOX: (1, BOX), (60, 60, 70, 70): (3, NOTHING)}
    assert (found.label[0] >= 0).sum() == 2


def test_each_region_is_matched_with_the_object_it_overlaps_most():
    left, right = (0.0, 0.0, 20.0, 20.0), (14.0, 0.0, 34.0, 20.0)
    near_right = (12.0, 0.0, 32.0, 20.0)
    found = sampled([target(left, right, labels=[0, 1])], [[near_right]])
    assert rows(found)[near_right] == (1, right)


def test_background_may_have_to_overlap_a_little_and_may_leave_a_gap_below_objects():
    near, between, far = (0.0, 0.0, 20.0, 5.0), (0.0, 0.0, 20.0, 9.0), (50.0, 50.0, 60.0, 60.0)
    found = sampled([target(BOX)], [[near, between, far]], background=(0.1, 0.4))
    assert rows(found) == {BOX: (0, BOX), near: (3, NOTHING)}


def test_background_begins_at_its_lower_overlap_and_ends_before_its_upper_one():
    lower, upper = (0.0, 0.0, 20.0, 5.0), (0.0, 0.0, 20.0, 10.0)  # a quarter and a half
    found = sampled([target(BOX)], [[lower, upper]], foreground=0.75, background=(0.25, 0.5))
    assert rows(found) == {BOX: (0, BOX), lower: (3, NOTHING)}


def test_what_is_an_object_is_no_background_too_where_the_overlaps_of_both_are_asked_to_meet():
    half = (0.0, 0.0, 20.0, 10.0)
    found = sampled([target(BOX)], [[half]], background=(0.0, 0.75))
    assert rows(found) == {BOX: (0, BOX), half: (0, BOX)}
    assert (found.label >= 0).sum() == 2


def test_regions_in_what_is_ignored_are_neither_objects_nor_background_and_its_box_is_none():
    inside, mostly_out = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 60.0, 60.0)
    found = sampled([target(BOX, ignored=[True])], [[inside, BOX, mostly_out]])
    assert rows(found) == {mostly_out: (3, NOTHING)}


def test_a_quarter_are_objects_at_most_and_background_fills_the_rest():
    near = [(0.0, 0.0, 20.0, 20.0 - i / 10) for i in range(10)]
    far = [(50.0 + i, 50.0, 60.0 + i, 60.0) for i in range(20)]
    for seed in range(5):
        torch.manual_seed(seed)
        found = sampled([target(BOX)], [near + far], share=0.25)
        assert found.label[0].tolist() == [0, 0, 3, 3, 3, 3, 3, 3]


def test_an_image_without_objects_gives_background_only():
    found = sampled([target(), target()], [[BOX, (3.0, 3, 9, 9)], [BOX]])
    assert rows(found, 0) == {BOX: (3, NOTHING), (3, 3, 9, 9): (3, NOTHING)}
    assert rows(found, 1) == {BOX: (3, NOTHING)}


def test_slots_left_over_look_at_nothing():
    found = sampled([target()], [[]])
    assert found.label.tolist() == [[-1] * 8]
    assert not found.boxes.any()
    assert not found.wanted.any()
