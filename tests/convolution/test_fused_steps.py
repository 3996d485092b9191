"""What is held of weights, in a training loop of one's own with torch's fused optimizers."""

import pytest
import torch
from layer_at_work import assert_right, conv, maps
from torch import nn

from resdet.backbones.folding import conv_norm


def under_autocast(module, x):
    with torch.autocast("cpu", torch.bfloat16):
        module(x).float().square().mean().backward()


def of_another_layout(module, x):
    module(x.contiguous()).square().mean().backward()


def of_a_sharing_module(module, x):
    other = conv()
    other.weight, other.bias = module.weight, module.bias
    other(x).square().mean().backward()


def before_another_forward(module, x):
    module(x).square().mean().backward()
    module(x)


def given_by_hand(module, x):
    found = torch.autograd.grad(module(x).square().mean(), list(module.parameters()))
    with torch.no_grad():
        module(x)
    for parameter, gradient in zip(module.parameters(), found, strict=True):
        parameter.grad = gradient


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_fused_steps_which_no_version_tells_of_are_followed(optimizer):
    module, x = conv(), maps()
    steps = optimizer(module.parameters(), 0.5, fused=True)
    for _ in range(2):
        for _ in range(2):  # gradients of two batches add up
            module(x).square().mean().backward()
        with torch.no_grad():
            module(x)  # a look between a gradient and its step
        steps.step()
        assert_right(module, x)
        with torch.inference_mode():
            assert_right(module, x)


@pytest.mark.parametrize(
    "learn", [under_autocast, of_another_layout, of_a_sharing_module, before_another_forward, given_by_hand]
)
def test_fused_steps_are_followed_whatever_way_the_gradients_came(learn):
    module, x = conv(), maps()
    steps = torch.optim.AdamW(module.parameters(), 0.5, fused=True)
    with torch.no_grad():
        module(x)
    learn(module, x)
    steps.step()
    steps.zero_grad()
    with torch.no_grad():
        assert_right(module, x)


def test_a_frozen_norm_is_followed_after_its_scale_has_learnt_by_a_fused_step():
    conv, norm, x = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4).eval(), torch.randn(2, 4, 5, 5)
    norm.requires_grad_(False)
    conv_norm(x, conv, norm)
    steps = torch.optim.SGD(norm.requires_grad_(True).parameters(), 0.5, fused=True)
    conv_norm(x, conv, norm).square().sum().backward()
    steps.step()
    norm.requires_grad_(False)
    torch.testing.assert_close(conv_norm(x, conv, norm), norm(conv(x)))


def test_only_what_a_fused_group_holds_has_another_version():
    fused, plain = (nn.Parameter(torch.ones(3)) for _ in range(2))
    still = nn.Parameter(torch.ones(3))
    for parameter, how in ((fused, {"fused": True}), (plain, {})):
        parameter.grad = torch.ones(3)
        torch.optim.SGD([parameter], 0.1, **how).step()
    assert fused._version > 0
    assert plain._version == 1  # torch's own
    assert still._version == 0
