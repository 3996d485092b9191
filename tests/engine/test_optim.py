import torch
from tiny_training import HOW, TinyNet
from torch import nn

from resdet.config import TrainConfig
from resdet.engine.optim import AveragedWeights, sgd


def decays(optimizer):
    return {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}


def test_everything_decays_as_in_the_paper_unless_vectors_are_left_out():
    net = TinyNet()
    all_of_it = decays(sgd(net, HOW))
    assert all_of_it == {id(p): 1e-4 for p in net.parameters()}
    matrices = decays(sgd(net, TrainConfig(decay_norm_and_bias=False, weight_decay=0.25)))
    assert matrices == {id(p): 0.25 if p.ndim > 1 else 0.0 for p in net.parameters()}
    assert sorted(matrices.values()) == [0] * 5 + [0.25] * 3


def test_what_does_not_learn_is_not_in_the_optimizer():
    net = TinyNet()
    net.conv.requires_grad_(False)
    assert id(net.conv.weight) not in decays(sgd(net, HOW))


def test_momentum_is_caffes():
    """``v <- m v + g; w <- w - lr v``, where the gradient is not scaled by ``1 - m``."""
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    optimizer = sgd(net, TrainConfig(lr=0.5, momentum=0.5, weight_decay=0.0))
    for expected in (-0.5, -1.25, -2.125):  # v = 1, 1.5, 1.75
        net.weight.grad = torch.ones(1, 1)
        optimizer.step()
        assert net.weight.item() == expected


def test_the_average_is_that_of_a_loop_by_hand():
    net = TinyNet()
    average = AveragedWeights(net, 0.5)
    expected = {k: v.clone() for k, v in net.state_dict().items()}
    for n in range(1, 11):
        with torch.no_grad():
            for value in net.state_dict().values():
                value.add_(n)
        average.update(net)
        d = min(0.5, (1 + n) / (10 + n))
        assert (d < 0.5) == (n < 8)
        for name, value in net.state_dict().items():
            old = expected[name]
            expected[name] = d * old + (1 - d) * value if value.is_floating_point() else value.clone()
    for name, value in average.state.items():
        torch.testing.assert_close(value, expected[name])
    assert average.state["bn.num_batches_tracked"].item() == 55


def test_the_average_keeps_out_of_the_models_memory_and_gradients():
    net = TinyNet()
    average = AveragedWeights(net, 0.9)
    before = average.state["fc.weight"].clone()
    with torch.no_grad():
        net.fc.weight.zero_()
    assert torch.equal(average.state["fc.weight"], before)
    average.update(net)
    assert not any(v.requires_grad for v in average.state.values())


def test_a_saved_average_continues_as_if_it_had_not_been_saved():
    net, other = TinyNet(), TinyNet(seed=9)
    one, two = AveragedWeights(net, 0.9), AveragedWeights(other, 0.9)
    one.update(other)
    two.load_state_dict(one.state_dict())
    assert two.updates == 1
    for average in (one, two):
        average.update(net)
    assert all(torch.equal(one.state[k], two.state[k]) for k in one.state)
