"""Anchors that cross an image's edge are not learnt from (Faster R-CNN, Sec. 3.1.3)."""

import pytest
import torch

from resdet.boxes.anchors import anchor_grid, anchor_shapes
from resdet.models import detector_loss
from resdet.models.detector_loss import DetectorLoss
from resdet.structures import Target
from resdet.targets.objects import pad_objects

SIZES = torch.tensor([[1000.0, 600.0], [600.0, 600.0]])


@pytest.fixture
def usable(monkeypatch):
    """A function of a loss and ``(P, 4)`` anchors: which may be drawn in an image of each of SIZES."""
    seen = []
    real = detector_loss.assign_rpn

    def spy(anchors, usable, *rest, **options):
        seen.append(usable)
        return real(anchors, usable, *rest, **options)

    monkeypatch.setattr(detector_loss, "assign_rpn", spy)

    def of(loss, anchors):
        box = torch.tensor([[100.0, 100.0, 300.0, 300.0]])
        targets = [Target(-1, box, torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.bool))] * len(SIZES)
        every, shape = anchors.expand(len(SIZES), -1, -1), (len(SIZES), len(anchors))
        objects = pad_objects(targets, anchors.device)
        loss.of_anchors(torch.zeros(shape), torch.zeros(*shape, 4), every, torch.ones(shape) > 0, SIZES, objects)
        return seen.pop()

    return of


def test_an_anchor_that_ends_at_the_edge_is_learnt_from_and_one_a_pixel_further_is_not(usable):
    anchors = [(0, 0, 600, 600), (-1, 0, 599, 600), (0, -1, 600, 599), (0, 0, 601, 600), (0, 0, 600, 601)]
    of_wide, of_square = usable(DetectorLoss(), torch.tensor(anchors).float()).tolist()
    assert of_wide == [True, False, False, True, False]
    assert of_square == [True, False, False, False, False]
    assert usable(DetectorLoss(inside_anchors=False), torch.tensor(anchors).float()).all()


def test_of_an_image_of_1000_x_600_as_many_anchors_are_inside_as_of_py_faster_rcnns(usable):
    """Which has 8,151, its anchors being whole pixels; the paper speaks of about 20,000 and 6,000."""
    anchors = anchor_grid(anchor_shapes((128, 256, 512), (0.5, 1, 2)), 38, 63, 16)
    inside = [x1 >= 0 and y1 >= 0 and x2 <= 1000 and y2 <= 600 for x1, y1, x2, y2 in anchors.tolist()]
    assert usable(DetectorLoss(), anchors)[0].tolist() == inside
    assert (len(inside), sum(inside)) == (21_546, 8_044)
