import numpy as np
import pytest
import torch

from resdet.eval.cls import cls_metrics, guess_ranks, true_class_ranks


def test_ranks_worked_by_hand():
    scores = torch.tensor([[0.1, 0.7, 0.2], [0.1, 0.7, 0.2], [0.1, 0.7, 0.2]])
    assert true_class_ranks(scores, torch.tensor([1, 2, 0])).tolist() == [0, 1, 2]


def test_equal_scores_rank_by_label_so_that_a_constant_network_is_right_once_in_k():
    assert true_class_ranks(torch.zeros(4, 4), torch.arange(4)).tolist() == [0, 1, 2, 3]


def test_ranks_agree_with_a_sort():
    torch.manual_seed(0)
    scores, labels = torch.randn(40, 17), torch.randint(0, 17, (40,))
    order = scores.argsort(dim=1, descending=True).tolist()
    assert true_class_ranks(scores, labels).tolist() == [row.index(n) for row, n in zip(order, labels, strict=True)]


def test_nan_is_an_error_and_never_a_right_answer():
    with pytest.raises(FloatingPointError, match="1 of 2 images have a score that is NaN"):
        true_class_ranks(torch.tensor([[0.0, 1.0], [float("nan"), 1.0]]), torch.tensor([0, 0]))


def test_a_label_beyond_the_classes_is_refused():
    with pytest.raises(ValueError, match=r"labels must be 0 \.\. 1, got 0 \.\. 2"):
        true_class_ranks(torch.zeros(2, 2), torch.tensor([0, 2]))
    with pytest.raises(ValueError, match=r"labels must be 0 \.\. 1, got -1 \.\. 1"):
        true_class_ranks(torch.zeros(2, 2), torch.tensor([1, -1]))


def test_no_images_have_no_ranks():
    assert true_class_ranks(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)).tolist() == []


def test_errors_are_percent_of_images():
    metrics = cls_metrics(np.array([0, 0, 0, 1, 4, 5, 9, 0]), "1-crop")
    assert (metrics["images"], metrics["top1_error"], metrics["top5_error"]) == (8, 50.0, 25.0)
    assert metrics["protocol"] == "1-crop"
    low, high = metrics["ci95"]["top5_error"]
    assert 0 <= low < 25 < high < 100


@pytest.mark.parametrize(("width", "missed"), [(1, 5), (2, 5), (5, 5), (7, 7)])
def test_a_class_that_was_not_guessed_counts_for_neither_error_however_few_the_guesses(width, missed):
    guesses = np.array([[3, 1, 2, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7]])[:, :width]
    ranks = guess_ranks(guesses, torch.tensor([3, 0]))
    assert ranks.tolist() == [0, missed]
    metrics = cls_metrics(ranks, "predictions")
    assert (metrics["top1_error"], metrics["top5_error"]) == (50.0, 50.0)
