import torch

from resdet.build import build_protocol
from resdet.config import LocConfig, load_config
from resdet.postprocess.merge import greedy_merge


def test_near_boxes_are_averaged_and_their_scores_add_up_past_a_single_better_one() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [100, 100, 120, 120], [0, 0, 12, 10], [0, 0, 10, 12]]])
    scores = torch.tensor([[0.4, 0.7, 0.3, 0.2]])
    box, score = greedy_merge(scores, boxes, 0.5)
    # the first meets the third and the fourth at the same distance; the first of equals goes first:
    # (0 0 11 10), then with (0 0 10 12): (0 0 10.5 11); the lone box of 0.7 stays behind their 0.9
    torch.testing.assert_close(box, torch.tensor([[0.0, 0, 10.5, 11]]))
    torch.testing.assert_close(score, torch.tensor([0.9]))


def test_boxes_too_far_apart_stay_as_they_are() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [6, 0, 16, 10]]])  # IoU 0.25
    box, score = greedy_merge(torch.tensor([[0.3, 0.6]]), boxes, 0.5)
    assert box.tolist() == [[6, 0, 16, 10]]
    torch.testing.assert_close(score, torch.tensor([0.6]))


def test_the_distance_of_centres_counts_beside_the_overlap() -> None:
    boxes = torch.tensor([[[5.0, 7, 35, 47], [5, 7, 50, 67]]])
    # IoU 1200 / 2700; centres 12.5 apart, diagonals of 50 and 75: 1 - 0.4444 + 12.5 / 62.5 = 0.7556
    scores = torch.tensor([[0.6, 0.3]])
    assert greedy_merge(scores, boxes, 1 - 0.75)[0].tolist() == [[5, 7, 35, 47]]
    assert greedy_merge(scores, boxes, 1 - 0.76)[0].tolist() == [[5, 7, 42.5, 57]]


def test_one_candidate_and_boxes_without_area_give_finite_answers() -> None:
    box, _ = greedy_merge(torch.tensor([[0.1]]), torch.tensor([[[1.0, 2, 3, 4]]]), 0.5)
    assert box.tolist() == [[1, 2, 3, 4]]
    box, score = greedy_merge(torch.zeros(2, 3), torch.zeros(2, 3, 4), 0.5)
    assert box.isfinite().all()
    assert score.isfinite().all()


def test_points_overlap_nothing_and_stay_apart_though_they_are_one() -> None:
    boxes = torch.tensor([[[5.0, 5, 5, 5], [5, 5, 5, 5], [50, 50, 60, 60]]])
    box, score = greedy_merge(torch.tensor([[0.4, 0.4, 0.5]]), boxes, 0.5)
    assert box.tolist() == [[50, 50, 60, 60]]
    torch.testing.assert_close(score, torch.tensor([0.5]))


def test_only_the_best_candidates_take_part() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60]]])
    box, score = greedy_merge(torch.tensor([[0.2, 0.2, 0.3]]), boxes, 0.5, most=2)
    assert box.tolist() == [[50, 50, 60, 60]]
    torch.testing.assert_close(score, torch.tensor([0.3]))


def test_the_setting_reaches_the_protocol() -> None:
    assert build_protocol(load_config(LocConfig, None, ["test.voting=greedy"])).greedy
    assert not build_protocol(load_config(LocConfig, None, ["test.voting=always"])).greedy


def test_a_score_that_is_no_number_has_no_box() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [100, 100, 120, 120]]])
    box, score = greedy_merge(torch.tensor([[0.4, float("nan")]]), boxes, 0.5)
    assert box.isnan().all()
    assert score.isnan().all()
