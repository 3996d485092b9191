"""A 3x3 convolution that is large enough to go by points, maps for it, and torch's answer."""

import torch
from torch.nn import functional

from resdet.convolution import Conv3x3

CHANNELS = 256


def conv(**settings):
    torch.manual_seed(0)
    return Conv3x3(CHANNELS, CHANNELS, **settings).to(memory_format=torch.channels_last)


def maps(images=4, side=9):
    torch.manual_seed(1)
    return torch.randn(images, CHANNELS, side, side).contiguous(memory_format=torch.channels_last)


def directly(module, x):
    """Torch's, in float64."""
    bias = None if module.bias is None else module.bias.double()
    return functional.conv2d(x.double(), module.weight.double(), bias, padding=1).float()


def assert_right(module, x):
    expected = directly(module, x)
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-4 * expected.abs().max().item())
