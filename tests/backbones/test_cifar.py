"""The nets for CIFAR against Sec. 4.2's table of layers, Table 6's sizes, and one step of training."""

import pytest
import torch
from parameter_count import total_parameters
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode  # counts a multiplication and an addition as two

from resdet.backbones.cifar import DEPTHS, CifarResNet
from resdet.backbones.resnet import zero_init_residual

PARAMETERS = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962, 1202: 19_421_274}
MULTIPLY_ADDS = {20: 40.6e6, 32: 68.9e6, 44: 97.2e6, 56: 125.5e6, 110: 252.9e6, 1202: 2829.2e6}


def on_meta(depth: int, shortcut: str = "A") -> CifarResNet:
    """A network without memory, for its shapes."""
    with torch.device("meta"):
        return CifarResNet(depth, 10, shortcut=shortcut).eval()


def weighted_layers(net: nn.Module) -> list[nn.Module]:
    """What the paper counts as depth: shortcuts are no layers."""
    layers = [(name, m) for name, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return [module for name, module in layers if "downsample" not in name and "gate" not in name]


def products(net: CifarResNet) -> int:
    """Multiply-adds by the weights' shapes and the maps' sides: to run 1202 layers for it takes half a minute."""
    total = net.conv1.weight.numel() * 32 * 32 + net.fc.weight.numel()
    for layer, side in ((net.layer1, 32), (net.layer2, 16), (net.layer3, 8)):
        total += sum(m.weight.numel() * side**2 for m in layer.modules() if isinstance(m, nn.Conv2d))
    return total


@pytest.mark.parametrize("shortcut", ["A", "none"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_plain_and_residual_nets_have_table_6s_depth_parameters_and_multiply_adds(depth, shortcut):
    net = on_meta(depth, shortcut)
    assert total_parameters(net) == PARAMETERS[depth]
    assert len(weighted_layers(net)) == depth
    assert products(net) == pytest.approx(MULTIPLY_ADDS[depth], rel=0.005)


@pytest.mark.parametrize("shortcut", ["A", "none"])
def test_as_many_multiply_adds_are_counted_in_a_net_that_runs(shortcut):
    net = on_meta(20, shortcut)
    with FlopCounterMode(display=False) as counted:
        net(torch.zeros(1, 3, 32, 32, device="meta"))
    assert counted.get_total_flops() / 2 == products(net) == pytest.approx(MULTIPLY_ADDS[20], rel=0.005)


def test_the_maps_are_32_16_and_8_pixels_with_16_32_and_64_filters():
    net = on_meta(20)
    shapes = []
    for layer in (net.layer1, net.layer2, net.layer3):
        layer.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape)))
    maps = net.features(torch.zeros(2, 3, 32, 32, device="meta"))
    assert shapes == [(2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]
    assert {name: tuple(m.shape) for name, m in maps.items()} == {"conv4": shapes[1], "conv5": shapes[2]}
    assert net.channels == {"conv4": 32, "conv5": 64}
    assert net.strides == {"conv4": 2, "conv5": 4}


def test_every_convolution_starts_as_he_has_it():
    torch.manual_seed(0)
    net = CifarResNet(20, 10)
    for conv in (m for m in net.modules() if isinstance(m, nn.Conv2d) and m.in_channels > 3):
        assert conv.weight.std().item() == pytest.approx((2 / (9 * conv.out_channels)) ** 0.5, rel=0.1)


@pytest.mark.parametrize("shortcut", ["none", "A", "B", "C", "gated"])
def test_a_step_of_training_lowers_the_loss_and_moves_every_weight(shortcut):
    torch.manual_seed(0)
    net = CifarResNet(20, 10, shortcut=shortcut)
    images, labels = torch.randn(16, 3, 32, 32), torch.arange(16) % 10
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    losses = []
    for _ in range(2):
        loss = functional.cross_entropy(net(images), labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(torch.isfinite(torch.tensor(losses)))
    assert losses[1] < losses[0]
    assert [name for name, p in net.named_parameters() if torch.equal(p, before[name])] == []
    assert all(torch.isfinite(p).all() for p in net.parameters())


def test_blocks_can_start_as_the_identity_here_too():
    torch.manual_seed(0)
    net = CifarResNet(8, 10).eval()
    zero_init_residual(net)
    images = torch.randn(2, 3, 32, 32)
    stem = functional.relu(net.bn1(net.conv1(images)))
    torch.testing.assert_close(net.layer1(stem), stem)
    # two blocks of option A that only subsample and pad
    maps = net.features(images)
    torch.testing.assert_close(maps["conv5"][:, :16], stem[:, :, ::4, ::4])
    assert maps["conv5"][:, 16:].count_nonzero() == 0


@pytest.mark.parametrize("depth", [18, 51, 2, 0, -4])
def test_a_depth_that_is_not_6n_and_2_is_refused(depth):
    with pytest.raises(ValueError, match=rf"depth must be 6n \+ 2, from 8 on, got {depth}"):
        CifarResNet(depth, 10)


def test_an_unknown_shortcut_is_named():
    with pytest.raises(ValueError, match="shortcut must be one of A, B, C, none, gated, got 'b'"):
        CifarResNet(20, 10, shortcut="b")
