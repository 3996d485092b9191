"""Which boxes are cropped for R-CNN, and how several networks' judgements become one answer, by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from resdet.data.viewed_images import ViewedImage
from resdet.data.views import cut
from resdet.inference.loc import LocProtocol
from resdet.inference.locate import Locators, Member, locate_together
from resdet.inference.rcnn import Proposing, Rescorer, Rescoring, look_again, propose, shared_crops

CPU = torch.device("cpu")
ALL = Rescoring(shorter=50, longer=100, proposals=10, min_side=2.0, share_iou=1.0, vote_iou=None)
SIZE = (100, 50)
A, NEAR_A, B = (0.0, 0.0, 20.0, 20.0), (0.0, 0.0, 20.0, 19.0), (50.0, 20.0, 90.0, 45.0)  # IoU of the first two: 0.95
THIN = (5.0, 5.0, 6.0, 30.0)


def crops(scores, boxes, **rule):
    rule = Rescoring(**{**vars(ALL), **rule})
    return shared_crops(torch.tensor(scores), torch.tensor(boxes), SIZE, rule)


def test_crops_are_cut_from_the_image_at_its_shorter_side_unless_the_longer_one_is_too_long():
    for longer, size in ((100, (100, 50)), (60, (60, 30))):
        (view,) = Rescoring(shorter=50, longer=longer).views(*SIZE)
        assert (view.window, view.width, view.height) == ((0, 0, *SIZE), *size)


def test_without_sharing_every_proposal_is_a_crop_of_its_own_class():
    found = crops([[0.9, 0.2], [0.1, 0.8]], [[A, B], [NEAR_A, B]])
    assert len(found.boxes) == 4
    assert found.members.sum(0).tolist() == [1, 1, 1, 1] and found.members.sum(1).tolist() == [2, 2]
    for label, boxes in enumerate(([A, B], [NEAR_A, B])):
        assert sorted(map(tuple, found.boxes[found.members[label]].tolist())) == sorted(boxes)


def test_boxes_of_two_classes_that_all_but_coincide_are_cropped_once():
    found = crops([[0.9, 0.2], [0.1, 0.8]], [[A, B], [NEAR_A, B]], share_iou=0.9)
    assert sorted(map(tuple, found.boxes.tolist())) == sorted([A, B])  # the better of A and NEAR_A
    assert found.members.all()  # both stand for both classes


def test_a_crop_keeps_the_best_score_of_the_proposals_it_stands_for():
    found = crops([[0.9, 0.7, 0.2], [0.1, 0.3, 0.8]], [[A, NEAR_A, B], [A, NEAR_A, B]], share_iou=0.9)
    by_box = {tuple(box): column for box, column in zip(found.boxes.tolist(), found.scores.T.tolist(), strict=True)}
    assert by_box[A] == pytest.approx([0.9, 0.3]) and by_box[B] == pytest.approx([0.2, 0.8])
    assert crops([[0.9]], [[THIN]]).scores.tolist() == [[pytest.approx(0.9)]]
    alone = crops([[0.9], [0.8]], [[A], [B]])
    assert alone.scores[~alone.members].tolist() == [0.0, 0.0]


def test_only_the_best_few_of_each_class_take_part():
    found = crops([[0.9, 0.2], [0.1, 0.8]], [[A, B], [A, B]], proposals=1)
    assert [tuple(box) for box in found.boxes[found.members[0]].tolist()] == [A]
    assert [tuple(box) for box in found.boxes[found.members[1]].tolist()] == [B]


def test_thin_boxes_are_left_out_unless_there_is_nothing_else():
    found = crops([[0.9, 0.2], [0.9, 0.8]], [[THIN, B], [THIN, THIN]])
    assert [tuple(box) for box in found.boxes[found.members[0]].tolist()] == [B]
    assert [tuple(box) for box in found.boxes[found.members[1]].tolist()] == [THIN]


def test_a_box_of_the_least_side_is_not_thin_and_one_of_no_score_is_a_proposal():
    least, thin = (5.0, 5.0, 7.0, 30.0), (5.0, 5.0, 6.5, 30.0)
    found = crops([[0.9, 0.8, 0.0]], [[thin, least, B]])
    assert sorted(map(tuple, found.boxes.tolist())) == sorted([least, B])


def test_proposals_are_cut_at_the_images_edge():
    found = crops([[0.9]], [[(-5.0, -5.0, 300.0, 30.0)]])
    assert found.boxes.tolist() == [[0.0, 0.0, 100.0, 30.0]]


class Judge(torch.nn.Module):
    """Logit of a crop: its width; of class 1 the negative.  Boxes: moved by ``shift`` pixels of what it sees."""

    def __init__(self, shift):
        super().__init__()
        self.shift = shift

    def judge(self, images, boxes, classes):
        assert not self.training and torch.is_inference_mode_enabled()
        self.seen = images.shape
        sign = 1 - 2.0 * (classes == 1)
        return (boxes[:, 2] - boxes[:, 0])[:, None] / 10 * sign, boxes[:, None].repeat(1, len(classes), 1) + self.shift


def judged(rescorers, found, asked):
    for rescorer in rescorers:
        rescorer.model.eval()
    views = [rescorer.rule.views(*SIZE)[0] for rescorer in rescorers]
    pixels = [np.zeros((view.height, view.width, 3), np.uint8) for view in views]
    return look_again(rescorers, pixels, views, found, torch.tensor(asked), CPU)


def test_scores_and_boxes_of_several_networks_are_averaged_in_the_images_pixels():
    found = crops([[0.9, 0.5]], [[A, B]])
    large = Rescoring(**{**vars(ALL), "shorter": 100, "longer": 200})  # sees everything twice as large
    one, two = Rescorer(Judge(4.0), ALL), Rescorer(Judge(6.0), large)
    scores, boxes = judged([one, two], found, [0])
    widths = found.boxes[:, 2] - found.boxes[:, 0]
    wanted = ((widths / 10).sigmoid() + (2 * widths / 10).sigmoid()) / 2
    torch.testing.assert_close(scores[0], wanted)
    torch.testing.assert_close(boxes[0], found.boxes + (4.0 + 6.0 / 2) / 2)
    assert two.model.seen == (1, 3, 100, 200)


def test_a_crop_that_stands_for_no_proposal_of_a_class_scores_0_there():
    scores, _ = judged([Rescorer(Judge(0.0), ALL)], crops([[0.9], [0.8]], [[A], [B]]), [0, 2])
    assert (scores > 0).tolist() in ([[True, False], [False, True]], [[False, True], [True, False]])


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_localizers_scores_count_for_what_r_cnns_do_not(share):
    found = crops([[0.9, 0.5]], [[A, B]])
    rule = Rescoring(**{**vars(ALL), "score_share": share})
    scores, boxes = judged([Rescorer(Judge(4.0), rule), Rescorer(Judge(4.0), ALL)], found, [0])
    widths = found.boxes[:, 2] - found.boxes[:, 0]
    torch.testing.assert_close(scores[0], (widths / 10).sigmoid() ** share * torch.tensor([0.9, 0.5]) ** (1 - share))
    torch.testing.assert_close(boxes[0], found.boxes + 4.0)  # moved all the same


def test_scores_that_a_localizer_gave_in_half_precision_are_mixed_in_single():
    found = crops([[0.5, 0.25]], [[A, B]])
    rescorers = [Rescorer(Judge(0.0), Rescoring(**{**vars(ALL), "score_share": 0.25}))]
    half = replace(found, scores=found.scores.bfloat16())  # exactly
    assert torch.equal(judged(rescorers, half, [0])[0], judged(rescorers, found, [0])[0])


def test_labels_are_translated_for_each_network():
    swapped = Rescorer(Judge(0.0), ALL, torch.tensor([1, 0, 2]))
    scores, _ = judged([swapped], crops([[0.9], [0.8]], [[A], [A]]), [0, 1])
    assert scores[0].max() < 0.5 < scores[1].max()


class Proposes(torch.nn.Module):
    """A localizer that says class 0 to 2 with fixed probabilities and proposes fixed boxes for every class."""

    def __init__(self, scores, boxes, probabilities=(0.5, 0.3, 0.2)):
        super().__init__()
        self.scores, self.at = torch.tensor(scores), torch.tensor(boxes)
        self.probabilities = torch.tensor(probabilities)

    def features(self, images):
        assert not self.training and torch.is_inference_mode_enabled()
        return {"conv5": images.float()}

    def class_logits(self, maps):
        return self.probabilities.log().expand(len(maps["conv5"]), -1)

    def boxes(self, maps, classes):
        shape = (*classes.shape, len(self.scores))
        return self.scores.expand(shape), self.at.expand(*shape, 4)


# the crop is the whole square image, so its pixels are the image's
CROP = LocProtocol("1-crop", size=60, resize=60, scales=(), mirror=False, vote_iou=None)


def images_for(locators, count=2):
    made = []
    for i in range(count):
        views = tuple(locators.views(60, 60))
        made.append(ViewedImage(i, 60, 60, views, tuple(cut(np.zeros((60, 60, 3), np.uint8), v) for v in views)))
    return [made]


def answers(locators, **options):
    return list(locate_together(locators, images_for(locators), CPU, **options))


def test_candidates_of_several_localizers_are_united():
    one, two = Proposes([0.3, 0.6], [A, NEAR_A]), Proposes([0.7], [(10.0, 10.0, 50.0, 50.0)])
    found = answers(Locators((Member(one, CROP), Member(two, CROP))))
    assert found[1].boxes[0].tolist() == [10.0, 10.0, 50.0, 50.0]
    assert found[1].box_scores[0].item() == pytest.approx(0.7)


def test_candidates_of_the_same_anchors_are_averaged_where_that_is_asked_for():
    crop = replace(CROP, averaged=True)
    one, two = Proposes([0.3, 0.6], [A, NEAR_A]), Proposes([0.9, 0.2], [B, NEAR_A])
    found = answers(Locators((Member(one, crop), Member(two, crop))))  # (0.6, 0.4), (mean of A and B, NEAR_A)
    assert found[0].boxes[0].tolist() == [25.0, 10.0, 55.0, 32.5]
    assert found[0].box_scores[0].item() == pytest.approx(0.6)


def test_their_classes_are_averaged_each_in_its_own_order():
    one = Proposes([0.5], [A], (0.5, 0.3, 0.2))
    two = Proposes([0.5], [A], (0.0, 0.9, 0.1))  # calls class 0 "1", 1 "2" and 2 "0"
    found = answers(Locators((Member(one, CROP), Member(two, CROP, torch.tensor([1, 2, 0])))))[0]
    assert found.labels.tolist() == [0, 1, 2]
    assert found.class_scores.tolist() == pytest.approx([0.7, 0.2, 0.1])


def test_an_r_cnn_alone_ranks_what_was_proposed():
    narrow, wide = (0.0, 0.0, 10.0, 30.0), (5.0, 5.0, 45.0, 40.0)
    locators = Locators((Member(Proposes([0.9, 0.1], [narrow, wide]), CROP),), (Rescorer(Judge(1.0), ALL),))
    found = answers(locators, true_labels=torch.tensor([0, 1]))
    view = ALL.views(60, 60)[0]
    shift = 60 / view.width  # a pixel of what the R-CNN sees, in the image's
    zero = found[0].labels.tolist().index(0)
    torch.testing.assert_close(found[0].boxes[zero], torch.tensor(wide) + shift)
    torch.testing.assert_close(found[0].true_class_box, torch.tensor(wide) + shift)
    torch.testing.assert_close(found[1].true_class_box, torch.tensor(narrow) + shift)  # of class 1 the narrow one


def test_the_best_boxes_for_one_class_are_proposed_clipped_and_without_thin_ones():
    model = Proposes([0.2, 0.9, 0.8, 0.95], [A, (40.0, 40.0, 80.0, 80.0), NEAR_A, THIN])
    batches = images_for(Locators((Member(model, CROP),)))
    labels = torch.tensor([1, 2])
    first, second = propose(model, batches, labels, Proposing(kept=2, min_side=2.0), CPU)
    assert first.boxes.tolist() == [[40.0, 40.0, 60.0, 60.0], list(NEAR_A)]
    assert first.scores.tolist() == pytest.approx([0.9, 0.8])
    assert torch.equal(first.boxes, second.boxes)
    (first, _) = propose(model, batches, labels, Proposing(kept=3, min_side=2.0, nms_iou=0.9), CPU)
    assert len(first) == 2  # NEAR_A takes A with it


def test_boxes_of_the_least_side_are_proposed_and_ones_of_no_area_never():
    least, flat, tiny = (10.0, 10.0, 12.0, 30.0), (10.0, 10.0, 10.0, 30.0), (5.0, 5.0, 5.5, 30.0)
    model = Proposes([0.9, 0.8, 0.7], [flat, tiny, least])
    batches = images_for(Locators((Member(model, CROP),)), 1)
    for side, boxes in ((2.0, [least]), (0.0, [tiny, least])):
        (found,) = propose(model, batches, torch.tensor([0]), Proposing(min_side=side), CPU)
        assert found.boxes.tolist() == [list(box) for box in boxes]


@pytest.mark.parametrize("nms_iou", [1.0, 0.9])
def test_proposals_in_half_precision_are_given_in_single(nms_iou):
    class Half(Proposes):
        def boxes(self, maps, classes):
            return tuple(column.bfloat16() for column in super().boxes(maps, classes))

    model = Half([0.5, 0.25], [A, (10.0, 10.0, 50.0, 50.0)])
    batches = images_for(Locators((Member(model, CROP),)), 1)
    (found,) = propose(model, batches, torch.tensor([0]), Proposing(nms_iou=nms_iou), CPU)
    assert (found.boxes.dtype, found.scores.dtype) == (torch.float32, torch.float32)
    assert found.scores.tolist() == [0.5, 0.25]
