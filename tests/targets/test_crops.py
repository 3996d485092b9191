"""Which proposals of a batch become R-CNN's crops, by hand."""

import torch

from resdet.structures import Target
from resdet.targets.crops import sample_crops

RULE = {"share": 0.25, "foreground": 0.5, "background": (0.0, 0.5)}
TRUTH = (0.0, 0.0, 10.0, 10.0)
GOOD, SHIFTED, FAR = (0.0, 0.0, 10.0, 8.0), (0.0, 6.0, 10.0, 16.0), (50.0, 50.0, 60.0, 60.0)  # IoU 0.8, 0.25, 0


def target(*boxes, label=3, labels=None, ignored=None):
    flags = None if ignored is None else torch.tensor(ignored)
    return Target(label, torch.tensor(boxes).view(-1, 4), torch.tensor(labels or [label] * len(boxes)), flags)


def sample(boxes, targets, count, **rule):
    boxes = torch.tensor(boxes)
    torch.manual_seed(0)
    return sample_crops(boxes, torch.ones(boxes.shape[:2], dtype=torch.bool), targets, count=count, **(RULE | rule))


def test_a_quarter_are_objects_of_any_image_and_the_rest_is_background():
    found = sample([[GOOD, GOOD, SHIFTED, FAR], [GOOD, SHIFTED, SHIFTED, FAR]], [target(TRUTH), target(TRUTH)], 4)
    assert found.label.tolist() == [1, 0, 0, 0]
    assert found.wanted[0].tolist() == list(TRUTH) and found.wanted[1:].abs().sum() == 0
    assert set(found.image.tolist()) <= {0, 1}
    for box, label in zip(found.boxes.tolist(), found.label.tolist(), strict=True):
        assert tuple(box) in ({GOOD, TRUTH} if label else {SHIFTED, FAR})


def test_background_fills_up_where_objects_are_few():
    found = sample([[FAR, FAR, SHIFTED, SHIFTED]], [target(TRUTH)], 4, share=0.75)
    assert found.label.tolist() == [1, 0, 0, 0]  # the one object is the true box itself


def test_where_everything_is_used_fewer_are_drawn():
    found = sample([[FAR]], [target(TRUTH)], 8)
    assert sorted(found.label.tolist()) == [0, 1]


def test_all_of_a_batch_are_drawn_together():
    # only the second image has background: RoI-centric drawing takes it all from there
    found = sample([[GOOD] * 6, [FAR] * 6], [target(TRUTH), target(TRUTH)], 4)
    assert found.image[found.label == 0].tolist() == [1, 1, 1]


def test_boxes_of_other_classes_and_ignored_ones_are_no_objects():
    other = target(TRUTH, FAR, label=3, labels=[5, 3])
    found = sample([[GOOD, GOOD]], [other], 4, share=0.5)
    kinds = {tuple(box): label for box, label in zip(found.boxes.tolist(), found.label.tolist(), strict=True)}
    assert kinds == {FAR: 1, GOOD: 0}

    ignored = target(TRUTH, FAR, ignored=[True, False])
    found = sample([[GOOD, GOOD]], [ignored], 4, share=0.5)
    assert [tuple(box) for box in found.boxes.tolist()] == [FAR]  # what lies in something ignored is not background


def test_an_ignored_box_that_is_not_finite_leaves_what_is_wanted_finite():
    nowhere = (float("nan"), 0.0, float("inf"), 4.0)
    found = sample([[GOOD, FAR]], [target(nowhere, TRUTH, ignored=[True, False])], 4, share=0.5)
    assert sorted(found.label.tolist()) == [0, 1, 1]
    assert found.wanted.tolist() == [list(TRUTH) if label else [0.0] * 4 for label in found.label.tolist()]


def test_padding_is_never_drawn():
    boxes = torch.tensor([[FAR, (0.0, 0.0, 0.0, 0.0)]])
    present = torch.tensor([[True, False]])
    found = sample_crops(boxes, present, [target(TRUTH)], count=8, **RULE)
    assert sorted(map(tuple, found.boxes.tolist())) == sorted([FAR, TRUTH])


def test_a_batch_without_anything_gives_nothing():
    found = sample_crops(torch.zeros(1, 0, 4), torch.zeros(1, 0, dtype=torch.bool), [target()], count=4, **RULE)
    assert len(found.label) == 0 and found.boxes.shape == (0, 4)
