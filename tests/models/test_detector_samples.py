"""Which anchors and regions a detector learns from: none across an image's edge, and by its settings."""

import pytest
import torch

from resdet.boxes.anchors import anchor_grid, anchor_shapes
from resdet.models import detector_loss
from resdet.models.detector_loss import DetectorLoss
from resdet.structures import Target
from resdet.targets.objects import pad_objects

OBJECT = Target(-1, torch.tensor([[100.0, 100.0, 300.0, 300.0]]), torch.zeros(1, dtype=torch.int64))
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
        every, shape = anchors.expand(len(SIZES), -1, -1), (len(SIZES), len(anchors))
        objects = pad_objects([OBJECT] * len(SIZES), anchors.device)
        loss.of_anchors(torch.zeros(shape), torch.zeros(*shape, 4), every, torch.ones(shape) > 0, SIZES, objects)
        return seen.pop()

    return of


def test_what_is_drawn_is_drawn_by_the_settings(monkeypatch):
    told = []
    for name in ("assign_rpn", "sample_regions"):
        real = getattr(detector_loss, name)
        monkeypatch.setattr(
            detector_loss, name, lambda *args, real=real, **options: told.append(options) or real(*args, **options)
        )
    how = {"anchors_per_image": 10, "anchor_positive": 0.4, "positive_iou": 0.6, "negative_iou": 0.2}
    how |= {"regions_per_image": 5, "region_positive": 0.3, "foreground_iou": 0.55, "background_iou": (0.1, 0.45)}
    loss, boxes = DetectorLoss(**how), torch.tensor([[[0.0, 0, 9, 9]]])
    objects = pad_objects([OBJECT], boxes.device)
    there = torch.ones(1, 1) > 0
    loss.of_anchors(torch.zeros(1, 1), torch.zeros(1, 1, 4), boxes, there, SIZES[:1], objects)
    loss.sample(boxes, there, objects, 3)
    assert told == [
        {"count": 10, "share": 0.4, "positive": 0.6, "negative": 0.2},
        {"classes": 3, "count": 5, "share": 0.3, "foreground": 0.55, "background": (0.1, 0.45)},
    ]


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
