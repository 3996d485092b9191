"""Box voting against cases worked by hand and against the loop that its definition is."""

import pytest
import torch

from resdet.postprocess.vote import vote


def test_a_vote_worked_by_hand():
    boxes = torch.tensor(
        [
            [0.0, 0.0, 10.0, 10.0],  # kept
            [0.0, 0.0, 10.0, 8.0],  # IoU 0.8: votes
            [0.0, 0.0, 10.0, 5.0],  # IoU 0.5: just votes
            [0.0, 0.0, 10.0, 4.9],  # IoU 0.49: does not
            [0.0, 0.0, 10.0, 10.0],  # of another group: does not
        ]
    )
    scores = torch.tensor([0.9, 0.5, 0.1, 0.9, 0.9])
    groups = torch.tensor([3, 3, 3, 3, 1])
    moved = vote(boxes, scores, groups, torch.tensor([0]), 0.5)
    bottom = (0.9 * 10 + 0.5 * 8 + 0.1 * 5) / 1.5
    torch.testing.assert_close(moved, torch.tensor([[0.0, 0.0, 10.0, bottom]]))


def test_who_has_no_neighbours_stays():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]])
    moved = vote(boxes, torch.tensor([0.9, 0.2]), torch.tensor([0, 0]), torch.tensor([0, 1]), 0.5)
    torch.testing.assert_close(moved, boxes)


def test_a_score_of_zero_and_an_empty_box_divide_by_nothing():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [7.0, 7.0, 7.0, 7.0]])
    moved = vote(boxes, torch.zeros(2), torch.tensor([0, 1]), torch.tensor([0, 1]), 0.5)
    torch.testing.assert_close(moved, boxes)


def test_nothing_kept_is_no_boxes():
    nothing = torch.zeros(0, dtype=torch.int64)
    assert vote(torch.rand(3, 4), torch.rand(3), torch.zeros(3).long(), nothing, 0.5).shape == (0, 4)
    assert vote(torch.zeros(0, 4), torch.zeros(0), nothing, nothing, 0.5).shape == (0, 4)


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_the_loop_says(seed):
    torch.manual_seed(seed)
    boxes = torch.rand(200, 4) * 30
    boxes[:, 2:] += boxes[:, :2] + 10
    scores, groups = torch.rand(200), torch.randint(0, 7, (200,))
    kept = torch.randperm(200)[:40]
    expected = []
    for i in kept.tolist():
        near = [j for j in range(200) if groups[j] == groups[i] and iou(boxes[j].tolist(), boxes[i].tolist()) >= 0.5]
        expected.append(sum(scores[j] * boxes[j] for j in near) / sum(scores[j] for j in near))
    torch.testing.assert_close(vote(boxes, scores, groups, kept, 0.5), torch.stack(expected))
