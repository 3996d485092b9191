"""From the RPN's answers to proposals, against a slow computation with torchvision's parts."""

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import clip_boxes_to_image, nms, remove_small_boxes

from resdet.boxes.anchors import anchor_grid, anchor_shapes
from resdet.postprocess.proposals import ProposalRule, pad_proposals, select_proposals

ANCHORS = anchor_grid(anchor_shapes((16, 32), (0.5, 1, 2)), height=5, width=7, stride=16)
SIZES = torch.tensor([[112.0, 80.0], [70.0, 60.0], [112.0, 80.0]])


def answers(seed=0):
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, len(ANCHORS), generator=draw) * 3
    deltas = torch.randn(3, len(ANCHORS), 4, generator=draw) * 0.4
    usable = torch.ones(3, len(ANCHORS), dtype=torch.bool)
    usable[1] = (ANCHORS[:, :2] + ANCHORS[:, 2:] < 2 * SIZES[1] + 16).all(1)
    return logits, deltas, usable


def slow(logits, deltas, usable, size, rule, anchors=ANCHORS):
    """One image at a time, as torchvision's RPN goes about it."""
    logits, deltas, anchors = logits[usable], deltas[usable], anchors[usable]
    best = logits.argsort(descending=True)[: rule.pre_nms]
    boxes = BoxCoder((1.0, 1.0, 1.0, 1.0)).decode_single(deltas[best], anchors[best])
    boxes, scores = clip_boxes_to_image(boxes, (int(size[1]), int(size[0]))), logits[best].sigmoid()
    keep = remove_small_boxes(boxes, max(rule.min_side, 1e-3))  # one without an area is none
    boxes, scores = boxes[keep], scores[keep]
    keep = nms(boxes, scores, rule.nms_iou)[: rule.kept]
    return boxes[keep], scores[keep]


@pytest.mark.parametrize(
    "rule",
    [
        ProposalRule(60, 20, 0.7, 8.0),
        ProposalRule(6000, 300, 0.5, 16.0),
        ProposalRule(40, 10, 0.3, 0.0),
        ProposalRule(12, 300, 0.5, 0.0),  # so few take part that not all that could be kept are there
    ],
    ids=str,
)
def test_proposals_are_those_of_the_slow_computation(rule):
    logits, deltas, usable = answers()
    found = select_proposals(logits, deltas, ANCHORS, usable, SIZES, rule).unpadded()
    assert len(found) == 3
    for i, proposals in enumerate(found):
        boxes, scores = slow(logits[i], deltas[i], usable[i], SIZES[i], rule)
        torch.testing.assert_close(proposals.boxes, boxes)
        torch.testing.assert_close(proposals.scores, scores)
        assert len(proposals) <= rule.kept


@pytest.mark.parametrize(("pre_nms", "levels"), [(30, (120, 60, 30)), (4, (120, 60, 30)), (30, (130, 80))])
def test_levels_take_their_own_best_and_suppress_nothing_of_each_other(pre_nms, levels):
    logits, deltas, usable = answers(1)
    rule = ProposalRule(pre_nms, 25, 0.5, 4.0)
    of_image = ANCHORS + torch.tensor([0.0, 3.0, -2.0])[:, None, None]  # other anchors in each image
    found = select_proposals(logits, deltas, of_image, usable, SIZES, rule, levels)
    assert found.counts.max() == (25 if pre_nms == 30 else found.present.sum(1).max())
    assert found.boxes.shape == (3, 25, 4)
    assert found.boxes[~found.present].eq(0).all()
    assert found.scores[~found.present].eq(0).all()
    for i, proposals in enumerate(found.unpadded()):
        parts = []
        for places in torch.arange(len(ANCHORS)).split(levels):
            each = slow(logits[i, places], deltas[i, places], usable[i, places], SIZES[i], rule, of_image[i, places])
            parts.append(torch.cat((each[0], each[1][:, None]), 1))
        expected = torch.cat(parts)
        expected = expected[expected[:, 4].argsort(descending=True, stable=True)][:25]
        torch.testing.assert_close(proposals.boxes, expected[:, :4])
        torch.testing.assert_close(proposals.scores, expected[:, 4])
        assert len(proposals) == 25 if pre_nms == 30 else len(proposals) <= 12


def test_best_come_first_within_the_image_and_no_thinner_than_asked():
    logits, deltas, usable = answers(3)
    for proposals, size in zip(
        select_proposals(logits, deltas, ANCHORS, usable, SIZES, ProposalRule(500, 50, 0.7, 12.0)).unpadded(),
        SIZES,
        strict=True,
    ):
        assert (proposals.scores.diff() <= 0).all()
        assert (proposals.boxes >= 0).all()
        assert (proposals.boxes[:, 2:] <= size).all()
        assert ((proposals.boxes[:, 2:] - proposals.boxes[:, :2]) >= 12).all()


@pytest.mark.parametrize(("min_side", "kept"), [(16.0, 35), (16.01, 0)])
def test_a_box_of_the_least_side_is_not_too_thin(min_side, kept):
    anchors = anchor_grid(anchor_shapes((16,), (1,)), height=5, width=7, stride=16)  # a tiling: nothing overlaps
    deltas, usable = torch.zeros(1, len(anchors), 4), torch.ones(1, len(anchors), dtype=torch.bool)
    rule = ProposalRule(min_side=min_side)
    found = select_proposals(torch.zeros(1, len(anchors)), deltas, anchors, usable, SIZES[:1], rule)
    assert found.counts.tolist() == [kept]


def test_an_image_of_which_nothing_is_left_has_no_proposals():
    logits, deltas, usable = answers()
    usable[1] = False
    deltas[2] = float("nan")
    found = select_proposals(logits, deltas, ANCHORS, usable, SIZES, ProposalRule())
    assert found.counts[1:].tolist() == [0, 0]
    assert found.present.sum(1).tolist() == found.counts.tolist()
    none = found.unpadded()[1]
    assert (none.boxes.shape, none.scores.shape) == ((0, 4), (0,))


def test_wild_deltas_give_boxes_within_the_image():
    logits, deltas, usable = answers()
    deltas[:, ::2] *= 1e6
    for proposals in select_proposals(logits, deltas, ANCHORS, usable, SIZES, ProposalRule()).unpadded():
        assert proposals.boxes.isfinite().all()
        assert len(proposals)


def test_proposals_from_elsewhere_lie_side_by_side():
    padded = pad_proposals([torch.ones(2, 4), torch.zeros(0, 4)], torch.device("cpu"))
    assert padded.present.tolist() == [[True, True], [False, False]]
    assert [len(p) for p in padded.unpadded()] == [2, 0]
    assert padded.unpadded()[0].scores.tolist() == [0, 0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_answers_that_are_no_numbers_are_told_of_their_image(bad):
    logits, deltas, usable = answers()
    rule = ProposalRule(500, 50, 0.7, 12.0)
    assert select_proposals(logits, deltas, ANCHORS, usable, SIZES, rule).finite.tolist() == [True] * 3
    logits[0, 3] = bad
    logits[1, (~usable[1]).nonzero()[0]] = bad  # beyond the image: asked by nobody
    deltas[1, (~usable[1]).nonzero()[1]] = bad
    deltas[2, 5, 1] = bad
    for levels in ((), (100, len(ANCHORS) - 100)):
        found = select_proposals(logits, deltas, ANCHORS, usable, SIZES, rule, levels)
        assert found.finite.tolist() == [False, True, False]
        assert [bool(one.finite) for one in found.unpadded()] == [False, True, False]


def test_of_many_anchors_the_one_that_is_no_number_is_among_the_best():
    logits, deltas, usable = answers()
    logits[2, 17] = float("nan")
    found = select_proposals(logits, deltas, ANCHORS, usable, SIZES, ProposalRule(pre_nms=5))
    assert found.finite.tolist() == [True, True, False]
