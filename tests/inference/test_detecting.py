"""Detecting in a data set, with detectors whose answers are known beforehand."""

import pytest
import torch
from painted import Painted, detected, painted, viewed

from resdet.boxes.overlap import pairwise_iou
from resdet.data.viewed_images import ViewedImage
from resdet.inference.det import DetProtocol, detect
from resdet.inference.refine import refined
from resdet.structures import View

PLAIN = DetProtocol(shorter=40, longer=80, multiple=1)
OBJECT, PROPOSAL = (20, 20, 60, 60), (20, 20, 60, 40)  # IoU 0.5; half-way: 20, 20, 60, 50


def one_object(width=80, height=80):
    return painted(width, height, OBJECT)


def test_a_view_is_the_whole_image_at_the_shorter_side_unless_the_longer_one_is_too_long():
    protocol = DetProtocol()
    assert protocol.views(500, 375) == [View((0, 0, 500, 375), 800, 600)]
    assert protocol.views(1000, 250) == [View((0, 0, 1000, 250), 1000, 250)]
    assert protocol.pooled_views == [0]


def test_other_scales_are_the_first_view_enlarged_or_reduced():
    protocol = DetProtocol(scales=(200, 600, 1000))
    sizes = [(view.width, view.height) for view in protocol.views(500, 375)]
    assert sizes == [(800, 600), (267, 200), (1333, 1000)]
    strips = [(view.width, view.height) for view in protocol.views(1000, 250)]
    assert strips == [(1000, 250), (333, 83), (1667, 417)]
    assert protocol.pooled_views == [1, 0, 2]
    assert DetProtocol(scales=(200, 1000)).pooled_views == [1, 2]
    assert len(DetProtocol(scales=(600,)).views(500, 375)) == 1


def test_scales_must_rise_and_ways_be_known():
    with pytest.raises(ValueError, match="scales must rise"):
        DetProtocol(scales=(600, 200))
    with pytest.raises(ValueError, match="refine must be"):
        DetProtocol(refine="best")


def test_boxes_come_back_in_pixels_of_the_image():
    found = detected([Painted(PROPOSAL)], [viewed(0, one_object(), PLAIN)], PLAIN)[0]
    assert (found.index, found.width, found.height, found.error) == (0, 80, 80, None)
    assert found.detections.labels.tolist() == [0]
    torch.testing.assert_close(found.detections.boxes, torch.tensor([[20.0, 20.0, 60.0, 50.0]]))
    assert found.detections.scores.tolist() == pytest.approx([0.5])


def test_boxes_end_at_the_edge_of_their_image_and_not_of_the_batch():
    class Wild(Painted):
        def siblings(self, vectors):
            probabilities, deltas = super().siblings(vectors)
            return probabilities, deltas + torch.tensor([0.0, 0, 100, 0])

    images = [viewed(0, one_object(), PLAIN), viewed(1, one_object(100, 80), PLAIN)]
    found = detected([Wild(PROPOSAL)], images, PLAIN)
    for answer, width in zip(found, (80.0, 100.0), strict=True):
        torch.testing.assert_close(answer.detections.boxes, torch.tensor([[0.0, 20.0, width, 50.0]]))


def test_images_of_every_size_are_answered_in_order_and_alike_alone():
    sizes = [(80, 80), (80, 120), (100, 80), (120, 80), (80, 80)]
    images = [viewed(7 + i, one_object(*size), PLAIN) for i, size in enumerate(sizes)]
    model = Painted(PROPOSAL)
    together = detected([model], images, PLAIN)
    assert model.seen == [(4, 3, 40, 60), (1, 3, 60, 40)], "wide ones in one tensor, tall ones in another"
    assert [answer.index for answer in together] == [7, 8, 9, 10, 11]
    for answer, image in zip(together, images, strict=True):
        alone = detected([Painted(PROPOSAL)], [image], PLAIN)[0]
        assert torch.equal(answer.detections.boxes, alone.detections.boxes)
        assert torch.equal(answer.detections.scores, alone.detections.scores)
        assert (answer.width, answer.height) == (image.width, image.height)


def test_batches_are_padded_to_the_multiple():
    model, protocol = Painted(PROPOSAL), DetProtocol(40, 80)
    detected([model], [viewed(0, one_object(100, 80), protocol)], protocol)
    assert model.seen == [(1, 3, 64, 64)]


def test_unreadable_images_keep_their_place():
    good = [viewed(i, one_object(), PLAIN) for i in (0, 2)]
    bad = [ViewedImage(i, 0, 0, (), (), f"{i}.jpg: not an image") for i in (1, 3, 4)]
    batches = [[good[0], bad[0], good[1]], [bad[1], bad[2]]]
    found = list(detect([Painted(PROPOSAL)], batches, PLAIN, torch.device("cpu")))
    assert [answer.index for answer in found] == [0, 1, 2, 3, 4]
    why = "1.jpg: not an image", "3.jpg: not an image", "4.jpg: not an image"
    assert [answer.error for answer in found] == [None, why[0], None, why[1], why[2]]
    assert (found[1].width, found[1].height, found[1].detections.boxes.shape) == (0, 0, (0, 4))
    assert torch.equal(found[2].detections.boxes, found[0].detections.boxes)


@pytest.mark.parametrize("refine", ["", "top", "each"])
@pytest.mark.parametrize("scales", [(), (20, 40)])
def test_no_proposals_and_no_objects_are_no_detections(refine, scales):
    protocol = DetProtocol(40, 80, refine=refine, scales=scales, vote_iou=0.5, multiple=1)
    images = [viewed(i, image, protocol) for i, image in enumerate((painted(80, 80), one_object(), painted(80, 80)))]
    for model, expected in ((Painted(), [0, 0, 0]), (Painted(PROPOSAL), [0, 1, 0])):
        found = detected([model], images, protocol)
        assert [len(answer.detections) for answer in found] == expected
        assert all(answer.detections.boxes.shape[1:] == (4,) for answer in found)
    assert len(detected([Painted(PROPOSAL)], images[:1], protocol)[0].detections) == 0


def test_refinement_pools_again_from_the_regressed_box_worked_by_hand():
    protocol = DetProtocol(40, 80, refine="top", multiple=1)
    model = Painted(PROPOSAL)
    found = detected([model], [viewed(0, one_object(), protocol)], protocol)[0].detections
    # the first answer, 20 20 60 50 at 0.5, is the second region: IoU 0.75, and half-way from there 20 20 60 55
    first, second = (boxes for _, boxes in model.pooled_from)  # at half the size
    assert first.tolist() == [[10, 10, 30, 20]]
    torch.testing.assert_close(second, torch.tensor([[10.0, 10.0, 30.0, 25.0]]))
    torch.testing.assert_close(found.boxes, torch.tensor([[20.0, 20.0, 60.0, 55.0]]))
    assert found.scores.tolist() == pytest.approx([0.75])


def test_both_answers_take_part_in_suppression_and_vote():
    protocol = DetProtocol(40, 80, refine="top", nms_iou=0.95, multiple=1)
    found = detected([Painted(PROPOSAL)], [viewed(0, one_object(), protocol)], protocol)[0].detections
    both = torch.tensor([[20.0, 20.0, 60.0, 55.0], [20.0, 20.0, 60.0, 50.0]])  # 300 + 300; their IoU is 30 / 35
    torch.testing.assert_close(found.boxes, both)
    voting = DetProtocol(40, 80, refine="top", vote_iou=0.5, multiple=1)
    found = detected([Painted(PROPOSAL)], [viewed(0, one_object(), voting)], voting)[0].detections
    expected = [20, 20, 60, (0.75 * 55 + 0.5 * 50) / 1.25]
    torch.testing.assert_close(found.boxes, torch.tensor([expected]))
    assert found.scores.tolist() == pytest.approx([0.75])


def test_top_pools_one_box_a_region_and_each_one_for_every_probable_class():
    other = (20, 20, 60, 30)  # class 1's object: IoU 0.5 with the proposal as well; half-way 20 20 60 35
    image = painted(80, 80, (20, 20, 60, 56), other)
    regions = {}
    for way in ("top", "each"):
        protocol = DetProtocol(40, 80, refine=way, nms_iou=1.0, multiple=1)
        model = Painted(PROPOSAL, sure=0.5)
        found = detected([model], [viewed(0, image, protocol)], protocol)[0].detections
        regions[way] = [box.tolist() for box in model.pooled_from[1][1]]
        assert [found.labels.tolist().count(label) for label in (0, 1)] == [2, 2], "two answers for each class"
    assert len(regions["top"]) == 1
    assert len(regions["each"]) == 2


def test_top_is_the_most_probable_class_also_where_background_is_more_probable():
    boxes = torch.arange(24.0).view(2, 3, 4)  # of two regions and three classes
    probabilities = torch.tensor([[0.1, 0.2, 0.0, 0.7], [0.3, 0.1, 0.2, 0.4]])
    asked = []

    def answer(given):
        asked.extend(given)
        return [(torch.zeros(2, 4), torch.zeros(2, 3, 4))]

    refined(answer, [(probabilities, boxes)], "top", 0.05)
    torch.testing.assert_close(asked, [torch.stack((boxes[0, 1], boxes[1, 0]))])


def test_each_asks_a_box_about_its_own_class_alone():
    image = painted(80, 80, OBJECT, (20, 20, 60, 30))
    protocol = DetProtocol(40, 80, refine="each", nms_iou=1.0, multiple=1)
    found = detected([Painted(PROPOSAL, sure=0.5)], [viewed(0, image, protocol)], protocol)[0].detections
    # class 0's box again: 20 20 60 50 with IoU 0.75 -> 55; class 1's again: 20 20 60 35 with IoU 2 / 3 -> 32.5
    rows = sorted(zip(found.labels.tolist(), found.scores.tolist(), found.boxes[:, 3].tolist(), strict=True))
    expected = [(0, 0.25, 50), (0, 0.375, 55), (1, 0.25, 35), (1, 1 / 3, 32.5)]
    assert [row[0] for row in rows] == [row[0] for row in expected]
    for row, wanted in zip(rows, expected, strict=True):
        assert row == pytest.approx(wanted, abs=1e-4)


def test_each_asks_again_about_what_scores_more_than_the_threshold_and_not_as_much():
    image = painted(80, 80, OBJECT, (20, 20, 60, 28))  # class 0: IoU 0.5, scored 0.25; class 1: IoU 0.4, scored 0.2
    for threshold, regions in ((0.25, 0), (0.2, 1), (0.19, 2)):
        protocol = DetProtocol(40, 80, threshold, refine="each", multiple=1)
        model = Painted(PROPOSAL, sure=0.5)
        detected([model], [viewed(0, image, protocol)], protocol)
        assert len(model.pooled_from[1][1]) == regions


def test_models_score_each_others_proposals_and_are_averaged():
    image = one_object()
    one, two = Painted(PROPOSAL, sure=1.0), Painted((20, 40, 60, 60), sure=0.5)
    protocol = DetProtocol(40, 80, nms_iou=1.0, multiple=1)
    found = detected([one, two], [viewed(0, image, protocol)], protocol)[0].detections
    for model in (one, two):
        assert len(model.pooled_from[0][1]) == 2, "the union: each scores both"
    # the first one's region has IoU 0.5, the second's too: the lower half of the object
    assert found.scores.tolist() == pytest.approx([0.375, 0.375])
    expected = torch.tensor([[20.0, 20.0, 60.0, 50.0], [20.0, 30.0, 60.0, 60.0]])
    torch.testing.assert_close(found.boxes[found.boxes[:, 1].argsort()], expected)


def test_models_may_call_classes_by_other_labels():
    class Swapped(Painted):
        def siblings(self, vectors):
            probabilities, deltas = super().siblings(vectors)
            return probabilities[:, [1, 0, 2]], deltas[:, [1, 0]]

    protocol = DetProtocol(40, 80, multiple=1)
    images = [viewed(0, one_object(), protocol)]
    labels = (torch.tensor([0, 1]), torch.tensor([1, 0]))
    together = detected([Painted(PROPOSAL), Swapped(PROPOSAL)], images, protocol, labels=labels)[0].detections
    alone = detected([Painted(PROPOSAL)], images, protocol)[0].detections
    assert torch.equal(together.boxes, alone.boxes)
    assert torch.equal(together.labels, alone.labels)
    assert torch.equal(together.scores, alone.scores)


def test_some_of_a_models_classes_may_be_asked_for():
    protocol = DetProtocol(40, 80, multiple=1)
    image = painted(80, 80, (0, 60, 20, 80), OBJECT)
    model = Painted(PROPOSAL, (0, 60, 20, 80))
    found = detected([model], [viewed(0, image, protocol)], protocol, labels=[torch.tensor([1])])[0].detections
    assert found.labels.tolist() == [0], "its class 1 is the only one"
    torch.testing.assert_close(found.boxes, torch.tensor([[20.0, 20.0, 60.0, 50.0]]))


def test_half_precision_answers_in_single():
    class Half(Painted):
        def siblings(self, vectors):
            return super().siblings(vectors.bfloat16())

    found = detected([Half(PROPOSAL)], [viewed(0, one_object(), PLAIN)], PLAIN, precision="bf16")[0].detections
    assert (found.boxes.dtype, found.scores.dtype) == (torch.float32, torch.float32)
    assert pairwise_iou(found.boxes, torch.tensor([[20.0, 20, 60, 50]])).item() > 0.98
