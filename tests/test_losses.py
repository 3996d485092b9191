import math

import pytest
import torch

from resdet import losses


def test_logistic_worked_by_hand():
    # sigmoid(0) is a half; sigmoid(log 3) is three quarters
    logits, label = torch.tensor([0.0, math.log(3), math.log(3), 99.0]), torch.tensor([1, 1, 0, -1])
    expected = (math.log(2) - math.log(0.75) - math.log(0.25)) / 3
    assert losses.logistic(logits, label).item() == pytest.approx(expected)


def test_logistic_sums_over_classes_and_divides_by_anchors():
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0], [5.0, 5.0]])
    label = torch.tensor([[0, 1], [0, 0], [-1, -1]])
    expected = (math.log(2) - math.log(0.75) + 2 * math.log(2)) / 2
    assert losses.logistic(logits, label).item() == pytest.approx(expected)


def test_logistic_stays_finite_at_wild_logits():
    loss = losses.logistic(torch.tensor([1e4, -1e4]), torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(1e4)


def test_smooth_l1_worked_by_hand():
    # differences 0.05 (parabola: 0.5 * 0.05^2 * 9), 1 (line: 1 - 1/18), 0 and 0
    deltas = torch.tensor([[0.05, 1.0, 3.0, 4.0], [9.0, 9.0, 9.0, 9.0]])
    wanted = torch.tensor([[0.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]])
    loss = losses.smooth_l1(deltas, wanted, torch.tensor([True, False]), beta=1 / 9)
    assert loss.item() == pytest.approx((0.5 * 0.05**2 * 9 + 1 - 1 / 18) / 4)


def test_smooth_l1_with_beta_of_a_ninth_is_fast_rcnns_sigma_of_three():
    x = torch.linspace(-1, 1, 41)[:, None].repeat(1, 4)
    for row in x:
        expected = 0.5 * (3 * row[0]) ** 2 if row[0].abs() < 1 / 9 else row[0].abs() - 0.5 / 9
        loss = losses.smooth_l1(row[None], torch.zeros(1, 4), torch.tensor([True]), beta=1 / 9)
        torch.testing.assert_close(loss, expected)


def test_nothing_counted_is_zero_with_gradients_of_zero():
    logits, deltas = torch.randn(3, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    none = losses.logistic(logits, torch.full((3,), -1))
    nowhere = losses.smooth_l1(deltas, torch.randn(3, 4), torch.zeros(3, dtype=torch.bool), beta=0.1)
    assert none.item() == nowhere.item() == 0
    (none + nowhere).backward()
    assert not logits.grad.any()
    assert not deltas.grad.any()


def test_parts_weigh_by_what_counts_in_them_and_one_is_the_least_a_loss_is_divided_by():
    counts = [{"box": torch.tensor(box), "object": torch.tensor(0)} for box in (2, 3, 0)]
    shares = [{name: share.item() for name, share in part.items()} for part in losses.shares_of_parts(counts)]
    # boxes: sums over 2, 3 and 1 become sums over 5; objects: sums over 1 stay that
    assert [part["box"] for part in shares] == pytest.approx([2 / 5, 3 / 5, 1 / 5])
    assert [part["object"] for part in shares] == [1, 1, 1]


def test_counting_over_processes_ends_where_it_was_asked_for():
    before = losses.shares_of_parts([{"box": torch.tensor(2)}])
    with pytest.raises(ArithmeticError), losses.counted_over(2, 0.5):
        raise ArithmeticError
    assert losses.shares_of_parts([{"box": torch.tensor(2)}]) == before  # two processes would have to meet


def test_losses_of_bfloat16_are_computed_in_float32():
    logits, deltas = torch.randn(5).bfloat16(), torch.randn(5, 4).bfloat16()
    label, wanted = torch.tensor([0, 1, 1, 0, -1]), torch.randn(5, 4)
    assert losses.logistic(logits, label).dtype == torch.float32
    torch.testing.assert_close(losses.logistic(logits, label), losses.logistic(logits.float(), label))
    found = losses.smooth_l1(deltas, wanted, label == 1, 0.1)
    torch.testing.assert_close(found, losses.smooth_l1(deltas.float(), wanted, label == 1, 0.1))
    rows, labels, used = deltas[None], label[None], label[None] >= 0
    for sampled, given in (
        (losses.sampled_logistic, (logits[None], labels)),
        (losses.sampled_softmax, (rows, labels)),
        (losses.sampled_smooth_l1, (rows, wanted[None], labels == 1, used, 0.1)),
    ):
        found, expected = sampled(*given), sampled(given[0].float(), *given[1:])
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected)


def test_a_samples_loss_is_a_mean_of_images_whatever_each_has_used():
    # the first image uses two anchors of three, the second one, the third none
    logits = torch.tensor([[0.0, math.log(3), 9.0], [math.log(3), 9.0, 9.0], [9.0, 9.0, 9.0]])
    label = torch.tensor([[1, 0, -1], [1, -1, -1], [-1, -1, -1]])
    first, second = (math.log(2) - math.log(0.25)) / 2, -math.log(0.75)
    assert losses.sampled_logistic(logits, label).item() == pytest.approx((first + second) / 3)


def test_sampled_softmax_worked_by_hand():
    # probabilities 1/4, 1/4, 1/2 and 1/3 each
    logits = torch.tensor([[[0.0, 0.0, math.log(2)], [0.0, 0.0, 0.0], [50.0, 0.0, 0.0]]])
    loss = losses.sampled_softmax(logits, torch.tensor([[2, 0, -1]]))
    assert loss.item() == pytest.approx((math.log(2) + math.log(3)) / 2)


def test_sampled_smooth_l1_sums_over_objects_and_divides_by_all_that_is_used():
    deltas = torch.tensor([[[0.5, 3.0, 0.0, 0.0], [9.0, 9.0, 9.0, 9.0], [7.0, 7.0, 7.0, 7.0]]])
    is_object, used = torch.tensor([[True, False, False]]), torch.tensor([[True, True, False]])
    loss = losses.sampled_smooth_l1(deltas, torch.zeros(1, 3, 4), is_object, used, beta=1.0)
    assert loss.item() == pytest.approx((0.125 + 2.5) / 2)


def test_losses_of_a_batch_are_the_mean_of_its_images_alone():
    torch.manual_seed(0)
    label = torch.randint(-1, 4, (5, 9))
    logits, deltas = torch.randn(5, 9, 4), torch.randn(5, 9, 4)
    for loss in (
        lambda i: losses.sampled_softmax(logits[i], label[i]),
        lambda i: losses.sampled_logistic(logits[i, :, 0], label[i].clamp(max=1)),
        lambda i: losses.sampled_smooth_l1(deltas[i], deltas[i] + 1, label[i] > 0, label[i] >= 0, 0.1),
    ):
        alone = torch.stack([loss(slice(i, i + 1)) for i in range(5)])
        torch.testing.assert_close(loss(slice(None)), alone.mean())
        torch.testing.assert_close(loss(slice(None)), (2 * loss(slice(0, 2)) + 3 * loss(slice(2, 5))) / 5)
