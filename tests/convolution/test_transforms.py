"""``torch.func`` and forward-mode differentiation meet a 3x3 convolution as they meet torch's own."""

import pytest
import torch
from layer_at_work import CHANNELS, assert_right, conv, maps
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, vmap


def dual(module, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(module(forward_ad.make_dual(x, x.cos()))).tangent


TRANSFORMS = {
    "grad of the weights": lambda module, x: grad(
        lambda weights: functional_call(module, weights, (x,)).square().mean()
    )(dict(module.named_parameters())),
    "jvp": lambda module, x: jvp(module, (x,), (x.cos(),)),
    "forward-mode differentiation": dual,
    "vmap over images": lambda module, x: vmap(module)(x[:, None]),
    "vmap over weights": lambda module, x: vmap(lambda weight: functional_call(module, {"weight": weight}, (x,)))(
        torch.stack((module.weight, 2 * module.weight))
    ),
}


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's, of its own forward mode
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS.keys())
def test_they_give_what_they_give_for_torch_s_convolution(transform):
    """The tensors in them have no memory of their own, by which a weight could be known."""
    ours, x = conv(), maps()
    theirs = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).to(memory_format=torch.channels_last)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(transform(ours, x), transform(theirs, x))
    assert_right(ours, x)
    assert ours._held is not None
