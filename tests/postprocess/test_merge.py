import pytest
import torch

from resdet.postprocess.merge import best_box

BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [50.0, 50.0, 60.0, 60.0], [2.0, 0.0, 12.0, 10.0]])


def test_without_voting_the_highest_score_wins_as_it_is():
    boxes, score = best_box(torch.tensor([0.2, 0.9, 0.3, 0.1]), BOXES, None)
    assert boxes.tolist() == BOXES[1].tolist()
    assert score.item() == pytest.approx(0.9)


def test_vote_worked_by_hand():
    # the best is the first; the second overlaps it by 0.8, the fourth by 8/12, the third not at all
    scores = torch.tensor([0.6, 0.3, 0.5, 0.1])
    box, score = best_box(scores, BOXES, 0.5)
    weights, near = (0.6, 0.3, 0.1), BOXES[[0, 1, 3]].tolist()
    expected = [sum(w * b[j] for w, b in zip(weights, near, strict=True)) / 1.0 for j in range(4)]
    assert expected == pytest.approx([0.2, 0, 10.2, 9.4])
    assert box.tolist() == pytest.approx(expected)
    assert score.item() == pytest.approx(0.6)  # the best one's own


def test_overlap_of_exactly_the_threshold_votes():
    boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 8.0, 4.0]])
    box, _ = best_box(torch.tensor([0.75, 0.25]), boxes, 0.5)
    assert box.tolist() == [0, 0, 8, 7]
    assert best_box(torch.tensor([0.75, 0.25]), boxes, 0.5001)[0].tolist() == [0, 0, 8, 8]


def test_of_equal_scores_the_first_wins():
    assert best_box(torch.tensor([0.5, 0.5, 0.5, 0.5]), BOXES, None)[0].tolist() == BOXES[0].tolist()


def test_scores_of_zero_give_the_best_box_itself_not_nan():
    for vote in (None, 0.5):
        box, score = best_box(torch.zeros(4), BOXES, vote)
        assert box.tolist() == pytest.approx(BOXES[0].tolist())
        assert score.item() == 0


def test_empty_best_box_votes_for_itself():
    boxes = torch.tensor([[5.0, 5.0, 5.0, 5.0], [0.0, 0.0, 10.0, 10.0]])
    assert best_box(torch.tensor([0.9, 0.5]), boxes, 0.5)[0].tolist() == pytest.approx([5, 5, 5, 5])


def test_each_image_and_class_votes_for_itself():
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(2, 3, 20, generator=generator)
    corners = torch.rand(2, 3, 20, 2, generator=generator) * 10
    boxes = torch.cat((corners, corners + 30), -1)
    for vote in (None, 0.6):
        found, best = best_box(scores, boxes, vote)
        assert (found.shape, best.shape) == ((2, 3, 4), (2, 3))
        for i in range(2):
            for k in range(3):
                alone, score = best_box(scores[i, k], boxes[i, k], vote)
                torch.testing.assert_close(found[i, k], alone)
                assert best[i, k] == score == scores[i, k].max()


def test_vote_lies_within_its_voters():
    generator = torch.Generator().manual_seed(1)
    boxes = BOXES[0] + torch.rand(50, 4, generator=generator)
    box, _ = best_box(torch.rand(50, generator=generator), boxes, 0.5)
    assert (box >= boxes.amin(0) - 1e-4).all()
    assert (box <= boxes.amax(0) + 1e-4).all()


@pytest.mark.parametrize("vote_iou", [None, 0.5])
def test_a_score_that_is_no_number_has_no_box(vote_iou):
    scores = torch.tensor([[0.2, float("nan"), 0.3, 0.1], [0.2, 0.9, 0.3, 0.1]])
    boxes, score = best_box(scores, BOXES.expand(2, 4, 4), vote_iou)
    assert boxes.isnan().all(1).tolist() == [True, False]
    assert score.isnan().tolist() == [True, False]
