"""Recomputed statistics against an average worked out with numpy alone."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from resdet.backbones.resnet import freeze_batch_norm
from resdet.engine.batch_norm import recompute
from resdet.errors import InputError
from resdet.structures import ImageBatch

CPU = torch.device("cpu")


class TwoLayers(nn.Module):
    """1x1 convolution, batch norm, ReLU, 1x1 convolution, batch norm: what numpy does in a line each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4, momentum=0.3)
        self.conv2, self.bn2 = nn.Conv2d(4, 2, 1, bias=False), nn.BatchNorm2d(2, momentum=None)
        self.unused = nn.BatchNorm2d(5)
        nn.init.uniform_(self.bn1.weight, 0.5, 2.0)
        nn.init.uniform_(self.bn1.bias, -1.0, 1.0)

    def outputs(self, images: Tensor) -> Tensor:
        return self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(images / 255)))))

    def forward(self, batch: ImageBatch) -> dict[str, Tensor]:
        return {"mean": self.outputs(batch.images).mean()}


@pytest.fixture
def net():
    torch.manual_seed(0)
    return TwoLayers().train()


def batches(*sizes: int) -> list[ImageBatch]:
    """The same images in batches of these sizes; the later ones are brighter, so that batches differ."""
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(0, 128, (sum(sizes), 3, 5, 7), generator=draw, dtype=torch.uint8)
    images += torch.linspace(0, 127, len(images)).to(torch.uint8)[:, None, None, None]
    return [ImageBatch(part) for part in images.split(list(sizes))]


def statistics(net: TwoLayers) -> list[Tensor]:
    return [net.bn1.running_mean, net.bn1.running_var, net.bn2.running_mean, net.bn2.running_var]


def by_hand(net: TwoLayers, given: list[ImageBatch]) -> list[np.ndarray]:
    """float64 throughout: each batch is normalised by its own statistics; then all values of a layer together."""
    w1, w2, gamma, beta = (
        p.detach().double().numpy().squeeze()
        for p in (net.conv1.weight, net.conv2.weight, net.bn1.weight, net.bn1.bias)
    )
    first, second = [], []
    for batch in given:
        pixels = batch.images.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy() / 255
        x = pixels @ w1.T
        normal = (x - x.mean(0)) / np.sqrt(x.var(0) + net.bn1.eps)
        first.append(x)
        second.append(np.maximum(normal * gamma + beta, 0) @ w2.T)
    return [s for layer in (np.concatenate(first), np.concatenate(second)) for s in (layer.mean(0), layer.var(0))]


@pytest.mark.parametrize("sizes", [(8,), (4, 4), (3, 5, 2)])
def test_statistics_are_the_plain_average_that_numpy_finds(net, sizes):
    given = batches(*sizes)
    assert recompute(net, given, CPU) == sum(sizes)
    for found, expected in zip(statistics(net), by_hand(net, given), strict=True):
        torch.testing.assert_close(found, torch.from_numpy(expected).float())


def test_variance_is_pooled_and_not_the_average_of_the_batches(net):
    given = batches(4, 4)
    recompute(net, given, CPU)
    with torch.no_grad():
        of_batches = [net.conv1(b.images / 255).var((0, 2, 3), correction=0) for b in given]
    assert (net.bn1.running_var > 1.05 * torch.stack(of_batches).mean(0)).all()


def test_the_order_of_batches_does_not_matter(net):
    given = batches(3, 5, 2)
    recompute(net, given, CPU)
    before = [s.clone() for s in statistics(net)]
    recompute(net, given[::-1], CPU)
    torch.testing.assert_close(statistics(net), before)


def test_sizes_of_batches_do_not_matter_to_the_first_layer_and_do_to_the_next(net):
    recompute(net, batches(8), CPU)
    whole = [s.clone() for s in statistics(net)]
    recompute(net, batches(2, 6), CPU)
    torch.testing.assert_close(statistics(net)[:2], whole[:2])
    assert not torch.allclose(net.bn2.running_mean, whole[2], rtol=1e-3)


def test_evaluation_of_the_one_batch_is_then_what_training_mode_gave(net):
    (batch,) = batches(8)
    with torch.no_grad():
        trained = net.outputs(batch.images)
    recompute(net, [batch], CPU)
    assert not net.training
    with torch.no_grad():
        torch.testing.assert_close(net.outputs(batch.images), trained, rtol=1e-4, atol=1e-5)


def test_a_small_variance_beside_a_large_mean_is_not_lost(net):
    with torch.no_grad():
        net.conv1.weight.fill_(1e-3)
    net.conv1.bias = nn.Parameter(torch.full((4,), 1000.0))
    given = batches(4, 4)
    recompute(net, given, CPU)
    x = torch.cat([net.conv1(b.images / 255).detach().double() for b in given])
    torch.testing.assert_close(net.bn1.running_var, x.var((0, 2, 3), correction=0).float(), rtol=1e-4, atol=0)


def test_nothing_but_the_statistics_changes(net):
    net(batches(8)[0])  # moving averages and counters other than a new net's
    before = {name: value.clone() for name, value in net.state_dict().items()}
    recompute(net, batches(4, 4), CPU)
    reached = {f"bn{i}.running_{what}" for i in (1, 2) for what in ("mean", "var")}
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == reached  # not the counters, the weights, nor the layer that nothing reaches
    assert (net.bn1.momentum, net.bn2.momentum, net.bn1.track_running_stats) == (0.3, None, True)
    assert not net.bn1._forward_pre_hooks


def test_statistics_stay_once_batch_norm_is_frozen(net):
    recompute(net, batches(4, 4), CPU)
    before = [s.clone() for s in statistics(net)]
    net.train()
    freeze_batch_norm(net)
    net(batches(2)[0])["mean"].backward()
    torch.testing.assert_close(statistics(net), before, rtol=0, atol=0)
    assert net.bn1.weight.grad is None


def test_no_images_are_refused_and_the_net_is_as_it_was(net):
    before = [s.clone() for s in statistics(net)]
    with pytest.raises(InputError, match="no images"):
        recompute(net, [], CPU)
    torch.testing.assert_close(statistics(net), before, rtol=0, atol=0)
    assert net.bn1.track_running_stats


def test_one_channel_whose_variance_no_float32_holds_is_enough_to_leave_all_as_they_were(net):
    before = [s.clone() for s in statistics(net)]
    with torch.no_grad():
        net.conv1.weight[0, 0] = 1e25  # the mean is a float32, and the variance a float64
    with pytest.raises(FloatingPointError, match="not finite"):
        recompute(net, batches(4, 4), CPU)
    torch.testing.assert_close(statistics(net), before, rtol=0, atol=0)


def test_diverged_weights_leave_the_statistics_alone(net):
    before = [s.clone() for s in statistics(net)]
    with torch.no_grad():
        net.conv2.weight[0, 0] = float("inf")
    with pytest.raises(FloatingPointError, match="not finite"):
        recompute(net, batches(4), CPU)
    torch.testing.assert_close(statistics(net), before, rtol=0, atol=0)
