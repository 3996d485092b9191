"""1x1 convolutions: torch's own, but for what oneDNN does where a stride meets few channels."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from resdet.backbones.shortcuts import Projection, transform_gate
from resdet.convolution import Conv1x1

TRAIN = """
import torch
from resdet.backbones import ResNet

torch.manual_seed(0)
net = ResNet(18, 5, width=8, stem="3x3", shortcut={shortcut!r}).to(memory_format=torch.channels_last)
for _ in range(5):
    net(torch.randn(2, 3, 64, 64)).sum().backward()
"""


@pytest.mark.parametrize("shortcut", ["B", "gated"])
def test_a_net_of_few_channels_trains_to_the_end(shortcut):
    """In a process of its own, which memory that is written past its end would kill."""
    assert subprocess.run([sys.executable, "-c", TRAIN.format(shortcut=shortcut)]).returncode == 0


@pytest.mark.parametrize("channels", [3, 16])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_stride_reads_the_cells_that_torch_reads(channels, frozen):
    torch.manual_seed(0)
    path = Projection(channels, 20, 2).to(memory_format=torch.channels_last)
    if frozen:
        path.eval().requires_grad_(False)
        path[0].requires_grad_(True)
    x = torch.randn(2, channels, 7, 10).to(memory_format=torch.channels_last).requires_grad_()
    y = path(x)
    weight = torch.randn_like(y)
    (y * weight).sum().backward()
    got, x.grad = (y, x.grad, path[0].weight.grad), None

    conv = nn.Conv2d(channels, 20, 1, 2, bias=False).double()
    conv.weight.data.copy_(path[0].weight)
    norm = nn.BatchNorm2d(20).double().train(not frozen)
    other = x.detach().double().contiguous().requires_grad_()
    wanted = norm(conv(other))
    (wanted * weight).sum().backward()
    for mine, theirs in zip(got, (wanted, other.grad, conv.weight.grad), strict=True):
        torch.testing.assert_close(mine, theirs.float(), rtol=1e-4, atol=1e-4)


def test_its_weights_are_torch_s_of_the_same_draw():
    torch.manual_seed(0)
    other = nn.Conv2d(3, 5, 1, 2)
    torch.manual_seed(0)
    for name, value in Conv1x1(3, 5, 2, bias=True).state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    assert transform_gate("gated", 3, 5, 2).bias.eq(-3).all()
