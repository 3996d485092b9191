"""Shortcut options A, B and C, plain and gated nets, against Table 1's arithmetic and slow, obvious implementations."""

import pytest
import torch
from parameter_count import total_parameters
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode  # counts a multiplication and an addition as two

from resdet.backbones.blocks import BasicBlock, Bottleneck
from resdet.backbones.resnet import ResNet
from resdet.backbones.shortcuts import GATE_BIAS, PaddedIdentity

# (depth, shortcut): parameters, multiply-adds of a 224x224 image; test_resnet.py has 50, 101 and 152
IMAGENET = {
    (18, "none"): (11_515_688, 1.795e9),
    (18, "A"): (11_515_688, 1.795e9),
    (18, "B"): (11_689_512, 1.814e9),
    (18, "C"): (12_043_816, 1.878e9),
    (34, "none"): (21_623_848, 3.644e9),
    (34, "A"): (21_623_848, 3.644e9),
    (34, "B"): (21_797_672, 3.664e9),
    (34, "C"): (22_716_840, 3.831e9),
}


def on_meta(depth: int, shortcut: str) -> ResNet:
    """A network without memory, for its shapes."""
    with torch.device("meta"):
        return ResNet(depth, 1000, shortcut=shortcut).eval()


def padded_by_hand(x: torch.Tensor, stride: int, outputs: int) -> torch.Tensor:
    batch, channels, height, width = x.shape
    rows, columns = list(range(0, height, stride)), list(range(0, width, stride))
    y = torch.zeros(batch, outputs, len(rows), len(columns), dtype=x.dtype)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            y[:, :channels, i, j] = x[:, :, row, column]
    return y


def block_of(shortcut: str, stride: int = 2, inputs: int = 4, width: int = 8) -> BasicBlock:
    """In float64, its batch norms unlike each other."""
    torch.manual_seed(0)
    block = BasicBlock(inputs, width, stride, 1, "1x1", shortcut)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return block.double()


def residual_of(block: BasicBlock, x: torch.Tensor) -> torch.Tensor:
    """F(x), without the shortcut."""
    return block.bn2(block.conv2(functional.relu(block.bn1(block.conv1(x)))))


@pytest.mark.parametrize(("depth", "shortcut"), IMAGENET)
def test_parameters_and_multiply_adds_are_those_of_table_1(depth, shortcut):
    net = on_meta(depth, shortcut)
    parameters, multiply_adds = IMAGENET[depth, shortcut]
    assert total_parameters(net) == parameters
    with FlopCounterMode(display=False) as counted:
        net(torch.zeros(1, 3, 224, 224, device="meta"))
    assert counted.get_total_flops() / 2 == pytest.approx(multiply_adds, rel=0.005)


def test_option_c_has_13_more_projections_than_b_in_resnet_34():  # Sec. 4.1
    def projections(shortcut: str) -> int:
        return sum(key.endswith("downsample.0.weight") for key in on_meta(34, shortcut).state_dict())

    assert (projections("A"), projections("B"), projections("C")) == (0, 3, 16)


def test_plain_nets_and_option_a_have_the_same_tensors_and_give_other_logits():
    assert on_meta(34, "none").state_dict().keys() == on_meta(34, "A").state_dict().keys()
    plain, residual = ResNet(18, 5, width=8, shortcut="none").eval(), ResNet(18, 5, width=8, shortcut="A").eval()
    residual.load_state_dict(plain.state_dict())
    images = torch.randn(1, 3, 64, 64)
    assert not torch.allclose(plain(images), residual(images), rtol=0.1)


def test_a_gated_net_is_the_option_b_net_and_its_gates():
    gated, b = on_meta(18, "gated").state_dict(), on_meta(18, "B").state_dict()
    assert {key: value.shape for key, value in gated.items() if ".gate." not in key} == {
        key: value.shape for key, value in b.items()
    }
    # ".gate." once for weight and bias of each block
    assert len(gated) - len(b) == 2 * 8


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 5), (1, 2)])
@pytest.mark.parametrize("stride", [1, 2])
def test_option_a_takes_every_second_pixel_and_pads_with_channels_of_zeros(height, width, stride):
    x = torch.randn(2, 3, height, width, dtype=torch.float64)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    actual, expected = PaddedIdentity(stride, 4)(mine), padded_by_hand(theirs, stride, 7)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)
    upstream = torch.randn_like(expected)
    actual.backward(upstream)
    expected.backward(upstream)
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=0)
    assert mine.grad.count_nonzero() == 2 * 3 * -(-height // stride) * -(-width // stride)  # the rest is not seen


@pytest.mark.parametrize("size", [(8, 8), (7, 5)])
def test_a_block_of_option_a_gives_the_output_and_gradients_of_the_obvious_sum(size):
    block = block_of("A")
    x = torch.randn(3, 4, *size, dtype=torch.float64)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    actual = block(mine)
    expected = functional.relu(residual_of(block, theirs) + padded_by_hand(theirs, 2, 8))
    torch.testing.assert_close(actual, expected)
    upstream = torch.randn_like(expected)
    first = torch.autograd.grad(actual, [mine, *block.parameters()], upstream)
    second = torch.autograd.grad(expected, [theirs, *block.parameters()], upstream)
    torch.testing.assert_close(first, second)


def test_the_gradient_reaches_x_through_the_shortcut_alone():
    block = block_of("A")
    nn.init.zeros_(block.bn2.weight)  # nothing comes back through the convolutions
    nn.init.ones_(block.bn2.bias)  # and every ReLU is open
    x = torch.rand(1, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    block(x).sum().backward()
    expected = torch.zeros(1, 4, 4, 4, dtype=torch.float64)
    expected[:, :, ::2, ::2] = 1
    torch.testing.assert_close(x.grad, expected)


def test_a_plain_block_is_its_convolutions_alone():
    block = block_of("none")
    x = torch.randn(3, 4, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(block(x), functional.relu(residual_of(block, x)))


@pytest.mark.parametrize(("stride", "inputs"), [(1, 8), (2, 4)])
def test_a_gated_block_mixes_by_the_sigmoid_of_a_1x1_convolution(stride, inputs):
    block = block_of("gated", stride, inputs)
    x = torch.randn(3, inputs, 6, 6, dtype=torch.float64)
    matrix, seen = block.gate.weight[:, :, 0, 0], x[:, :, ::stride, ::stride]
    gate = 1 / (1 + torch.exp(-(torch.einsum("oc,bchw->bohw", matrix, seen) + block.gate.bias[:, None, None])))
    carried = x if stride == 1 else block.downsample(x)
    expected = functional.relu(gate * residual_of(block, x) + (1 - gate) * carried)
    torch.testing.assert_close(block(x), expected)


def test_a_closed_gate_carries_x_and_an_open_one_is_a_plain_block():
    block = block_of("gated", stride=1, inputs=8)
    x = torch.randn(3, 8, 6, 6, dtype=torch.float64)
    nn.init.constant_(block.gate.bias, -100)
    torch.testing.assert_close(block(x), functional.relu(x))
    nn.init.constant_(block.gate.bias, 100)
    torch.testing.assert_close(block(x), functional.relu(residual_of(block, x)))


def test_every_gate_of_a_network_starts_on_the_side_of_carrying():
    net = ResNet(18, 5, width=4, shortcut="gated")  # after the network's own initialisation
    gates = [block.gate for block in net.modules() if isinstance(block, BasicBlock)]
    assert len(gates) == 8
    assert -3 <= GATE_BIAS <= -1  # Srivastava et al. 2015
    assert all((gate.bias == GATE_BIAS).all() for gate in gates)


@pytest.mark.parametrize("shortcut", ["A", "C", "none", "gated"])
def test_a_bottleneck_takes_every_option(shortcut):
    block = Bottleneck(4, 2, 2, 1, "1x1", shortcut).double()
    x = torch.randn(3, 4, 7, 5, dtype=torch.float64, requires_grad=True)
    y = block(x)
    assert y.shape == (3, 8, 4, 3)
    y.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_an_unknown_shortcut_is_named():
    with pytest.raises(ValueError, match="shortcut must be one of A, B, C, none, gated, got 'D'"):
        ResNet(18, 10, shortcut="D")
