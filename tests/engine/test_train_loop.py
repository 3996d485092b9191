import copy
from dataclasses import replace

import pytest
import torch
from tiny_training import HOW, STEPS_PER_EPOCH, TinyNet, batch_of, batches, take_steps

from resdet.engine.optim import AveragedWeights, sgd
from resdet.engine.schedule import LearningRate, learning_rate
from resdet.engine.train import set_training, train
from resdet.structures import ImageBatch

CPU = torch.device("cpu")


THREE = batches(0, 3)


def trained(net, how=HOW, batches=THREE, start=0, average=None):
    """Train ``net``; the losses of each step."""
    set_training(net, how)
    rate = LearningRate(how)
    return take_steps(net, batches, how, rate, start=start, steps_per_epoch=STEPS_PER_EPOCH, average=average)


def weights(net):
    return {k: v.clone() for k, v in net.state_dict().items()}


def equal(one, other):
    return all(torch.equal(one[k], other[k]) for k in one)


def test_a_step_is_that_of_a_loop_by_hand():
    net, hand = TinyNet(), TinyNet()
    losses = trained(net, batches=batches(0, 6))
    optimizer = torch.optim.SGD(hand.parameters(), lr=1.0, momentum=0.9, weight_decay=1e-4)
    for step in range(6):
        hand.train()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step / STEPS_PER_EPOCH, HOW)
        loss = hand(batch_of(step))["class"]
        assert losses[step] == (step + 1, {"class": pytest.approx(loss.item())})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, hand.state_dict()[name])


def test_the_sum_of_the_losses_is_what_is_minimised():
    net = TinyNet(second_loss=True)
    before = weights(net)
    values = trained(net)[0][1]
    assert set(values) == {"class", "second"}
    after = weights(net)
    assert all(not torch.equal(before[k], after[k]) for k in ("fc.weight", "second.weight"))


@pytest.mark.parametrize("parts", [1, 4])
def test_what_is_measured_is_told_as_a_mean_over_the_batch_and_not_minimised(parts):
    frozen = replace(HOW, batch_norm="frozen", accumulate=parts)
    net, other = TinyNet(measures=True), TinyNet()
    told = trained(net, frozen)
    assert [{"class": values["class"]} for _, values in told] == [values for _, values in trained(other, frozen)]
    assert equal(weights(net), weights(other))
    for _, values in told:
        assert (values["batch/top1_error"] / 12.5) == pytest.approx(round(values["batch/top1_error"] / 12.5))  # eighths


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_accumulation_gives_the_gradients_of_the_whole_batch(parts):
    frozen = replace(HOW, batch_norm="frozen")  # a batch's own statistics would be those of its parts
    whole, split = TinyNet(second_loss=True), TinyNet(second_loss=True)
    expected, losses = trained(whole, frozen), trained(split, replace(frozen, accumulate=parts))
    for name, value in split.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name])
    for (_, one), (_, other) in zip(expected, losses, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


def test_parts_of_unequal_size_weigh_by_their_images():
    frozen = replace(HOW, batch_norm="frozen")
    whole, split = TinyNet(), TinyNet()
    uneven = [batch_of(0, images=5)]
    trained(whole, frozen, uneven)
    trained(split, replace(frozen, accumulate=4), uneven)
    torch.testing.assert_close(split.fc.weight, whole.fc.weight)


def test_clipping_leaves_the_direction_and_bounds_the_norm():
    moved = {}
    for clip in (0.0, 1e-3, 1e6):
        net = TinyNet()
        before = weights(net)
        trained(net, replace(HOW, clip_norm=clip, weight_decay=0.0, lr=1.0), batches(0, 1))
        moved[clip] = torch.cat([(p - before[k]).flatten() for k, p in net.named_parameters()])
    assert moved[1e-3].norm().item() == pytest.approx(1e-3, rel=1e-3)
    assert torch.cosine_similarity(moved[1e-3], moved[0.0], dim=0).item() == pytest.approx(1, abs=1e-4)
    assert torch.equal(moved[1e6], moved[0.0])


def test_bf16_trains_with_weights_and_losses_in_fp32_and_close_to_fp32():
    exact, fast = TinyNet(), TinyNet()
    expected, losses = trained(exact), trained(fast, replace(HOW, precision="bf16"))
    assert all(p.dtype == torch.float32 for p in fast.parameters())
    assert losses != expected
    for (_, one), (_, other) in zip(expected, losses, strict=True):
        assert one["class"] == pytest.approx(other["class"], rel=0.02)


class Poisoned(TinyNet):
    """A network whose loss is not finite for image 5."""

    def forward(self, batch):
        losses = super().forward(batch)
        return {k: v * (float("nan") if 5 in batch.indices else 1.0) for k, v in losses.items()}


@pytest.mark.parametrize("parts", [1, 4])
def test_a_loss_that_is_not_finite_stops_before_it_reaches_the_weights(parts):
    net, how = Poisoned(), replace(HOW, accumulate=parts)
    clean = replace_indices(batch_of(0), range(10, 18))
    average = AveragedWeights(net, 0.9)
    trained(net, how, [clean], average=average)
    before, mean = {k: p.clone() for k, p in net.named_parameters()}, copy.deepcopy(average.state)
    with pytest.raises(FloatingPointError) as caught:
        trained(net, how, [batch_of(7)], start=7, average=average)
    assert all(torch.equal(p, before[k]) for k, p in net.named_parameters())
    assert equal(average.state, mean)
    assert "step 7" in str(caught.value)
    assert "'class': nan" in str(caught.value)
    part = {1: list(range(8)), 4: [4, 5]}[parts]
    assert f"images {part}" in str(caught.value)


def replace_indices(batch, indices):
    return ImageBatch(batch.images, batch.targets, tuple(indices))


def test_frozen_batch_norm_changes_in_nothing_and_training_changes_all_of_it():
    names = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked"]
    for how, moves in ((replace(HOW, batch_norm="frozen"), False), (HOW, True)):
        net = TinyNet()
        trained(net, HOW, batches(20, 22))  # away from ones and zeros
        before = weights(net)
        trained(net, how)
        assert [not torch.equal(before[k], net.state_dict()[k]) for k in names] == [moves] * 5
        assert not torch.equal(before["conv.weight"], net.conv.weight)


def test_evaluation_mode_set_in_between_is_undone_at_the_next_step():
    net = TinyNet(dropout=0.5)
    modes = []
    net.drop.register_forward_hook(lambda module, *_: modes.append(module.training))
    train(
        net,
        batches(0, 3),
        sgd(net, HOW),
        torch.amp.GradScaler("cpu", enabled=False),
        HOW,
        device=CPU,
        start=0,
        steps_per_epoch=STEPS_PER_EPOCH,
        rate=LearningRate(HOW),
        average=None,
        after_step=lambda step, values: net.eval() and None,
    )
    assert modes == [True] * 3


def test_what_a_step_draws_depends_on_its_number_alone():
    together, apart = TinyNet(dropout=0.5), TinyNet(dropout=0.5)
    how = replace(HOW, momentum=0.0)  # the optimizer's own memory is the checkpoint's matter
    trained(together, how, batches(0, 4))
    trained(apart, how, batches(0, 2))
    torch.rand(1000)
    trained(apart, how, batches(2, 4), start=2)
    assert equal(weights(together), weights(apart))
