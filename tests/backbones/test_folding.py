"""Batch norm as a part of the convolution before it: the same maps and gradients, once for good and step by step."""

import copy

import pytest
import torch
from lively_norms import make_lively
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.utils import prune
from torch.nn.utils.fusion import fuse_conv_bn_weights

from resdet.backbones import CifarResNet, ResNet
from resdet.backbones.folding import conv_norm, fold_batch_norm, folded, hold_convolutions
from resdet.backbones.resnet import freeze_batch_norm

NETS = {
    "basic blocks": lambda: ResNet(18, 5, width=8),
    "bottlenecks, projections everywhere": lambda: ResNet(50, 5, width=4, shortcut="C"),
    "zeros in the shortcut": lambda: ResNet(18, 5, width=8, shortcut="A"),
    "gated": lambda: ResNet(18, 5, width=4, shortcut="gated"),
    "plain": lambda: ResNet(18, 5, width=8, shortcut="none"),
    "for CIFAR": lambda: CifarResNet(20, 5),
}
each_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS.keys())


def lively(make):
    """Batch norm that is far from doing nothing."""
    torch.manual_seed(0)
    net = make()
    return make_lively(net).eval()


def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_worked_by_hand():
    conv, norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0.0).eval()
    values = {conv.weight: 3.0, conv.bias: 1.0, norm.weight: 10.0, norm.bias: 7.0, norm.running_mean: 5.0}
    with torch.no_grad():
        for tensor, value in {**values, norm.running_var: 4.0}.items():
            tensor.fill_(value)
    weight, bias = folded(conv, norm)
    assert (weight.item(), bias.item()) == (15.0, -13.0)  # 10 * (3 x + 1 - 5) / 2 + 7


@each_net
def test_a_folded_net_gives_what_it_gave_and_has_no_batch_norm_left(make):
    net = lively(make)
    with torch.no_grad():
        expected = net(images())
        fold_batch_norm(net)
        torch.testing.assert_close(net(images()), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    assert not [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    learning = [name for name, parameter in net.named_parameters() if parameter.requires_grad]
    assert not [name for name in learning if not name.startswith("fc.") and ".gate." not in name]


def test_torch_folds_to_the_same_weights():
    net = lively(NETS["basic blocks"])
    for conv, norm in ((net.conv1, net.bn1), tuple(net.layer3[0].downsample)):
        statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        for ours, theirs in zip(folded(conv, norm), fuse_conv_bn_weights(conv.weight, None, *statistics), strict=True):
            torch.testing.assert_close(ours, theirs)


@each_net
def test_frozen_batch_norm_in_training_gives_the_maps_and_gradients_of_the_modules(make, monkeypatch):
    net = lively(make).train()
    freeze_batch_norm(net)

    def run():
        net.zero_grad()
        scores = net(images())
        scores.square().mean().backward()
        return scores.detach(), {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}

    heard = []
    handles = [m.register_forward_hook(lambda *_: heard.append(1)) for m in net.modules() if is_norm(m)]
    scores, gradients = run()
    assert not heard
    for place in ("blocks", "shortcuts", "resnet", "cifar"):
        monkeypatch.setattr(f"resdet.backbones.{place}.conv_norm", lambda x, conv, norm: norm(conv(x)))
    expected, slopes = run()
    assert len(heard) == len(handles)
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    assert gradients.keys() == slopes.keys()
    for name, slope in slopes.items():
        torch.testing.assert_close(gradients[name], slope, rtol=1e-3, atol=1e-4 * slope.abs().max().item())


class Rounded(nn.Conv2d):
    """As fake quantization has it."""

    def forward(self, x):
        return self._conv_forward(x, (self.weight * 8).round() / 8, self.bias)


def rounded(conv):
    conv.__class__ = Rounded


def adapted(conv):
    conv.register_forward_hook(lambda module, inputs, y: y + inputs[0].mean(1, keepdim=True))


OF_ONES_OWN = {
    "pruned": lambda conv: prune.random_unstructured(conv, "weight", 0.5),
    "older spectral norm": nn.utils.spectral_norm,
    "spectral norm": nn.utils.parametrizations.spectral_norm,
    "a subclass": rounded,
    "a hook": adapted,
}
of_ones_own = pytest.mark.parametrize("change", OF_ONES_OWN.values(), ids=OF_ONES_OWN.keys())


@of_ones_own
def test_a_convolution_with_a_hook_or_of_a_subclass_is_called_itself_before_a_frozen_norm(change):
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4).eval().requires_grad_(False)
    change(conv)
    conv.eval()  # spectral norm would go on with its estimate
    for _ in range(2):
        torch.testing.assert_close(conv_norm(images(), conv, norm), norm(conv(images())))
        with torch.no_grad():
            for parameter in conv.parameters():
                parameter *= 1.5


@of_ones_own
def test_a_convolution_with_a_hook_or_of_a_subclass_is_not_folded_away(change):
    net = lively(NETS["basic blocks"])
    change(net.layer3[0].conv2)
    with pytest.raises(ValueError, match="a weight made in a hook or a subclass is not a part of a convolution"):
        fold_batch_norm(net)


def is_norm(module):
    return isinstance(module, nn.BatchNorm2d)


def test_batch_norm_that_learns_or_takes_statistics_is_called_itself():
    conv, norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
    x = images() * 3 + 1
    assert conv_norm(x, conv, norm).mean((0, 2, 3)).abs().max() < 1e-5
    assert norm.num_batches_tracked == 1
    norm.eval()
    conv_norm(x, conv, norm).sum().backward()
    assert norm.weight.grad is not None


def test_a_frozen_net_born_in_inference_mode_answers_outside_of_it():
    with torch.inference_mode():
        net = lively(NETS["basic blocks"]).eval()
        expected = net(images())
    net.requires_grad_(False)
    torch.testing.assert_close(net(images()), expected)


def test_folding_what_still_takes_statistics_is_refused():
    with pytest.raises(ValueError, match=r"bn1: batch norm in training mode .* wanted net.eval\(\)"):
        fold_batch_norm(ResNet(18, 5, width=4))


def test_held_convolutions_give_what_autocast_gives_and_take_half_the_memory():
    torch.manual_seed(0)
    net = ResNet(50, 5, width=8).eval()
    fold_batch_norm(net)
    held = copy.deepcopy(net)
    hold_convolutions(held, torch.bfloat16)
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(held(pixels), net(pixels))
    sizes = [sum(p.nbytes for name, p in model.named_parameters() if "fc" not in name) for model in (held, net)]
    assert sizes[0] * 2 == sizes[1]


def one_frozen():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
    freeze_batch_norm(make_lively(norm))
    return conv, norm, torch.randn(2, 3, 9, 9)


def put(norm, other):
    norm.load_state_dict(other.state_dict())


WRITES = {
    "another state": put,
    "a statistic in place": lambda norm, other: norm.running_var.mul_(4),
    "a weight in place": lambda norm, other: nn.init.constant_(norm.weight, 3.0),
    "another tensor": lambda norm, other: setattr(norm, "running_mean", other.running_mean),
    "another eps": lambda norm, other: setattr(norm, "eps", 0.5),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_what_is_known_of_a_frozen_norm_is_found_anew_when_it_is_written_to(write):
    conv, norm, x = one_frozen()
    before = conv_norm(x, conv, norm)
    write(norm, make_lively(nn.BatchNorm2d(4)))
    after = conv_norm(x, conv, norm)
    torch.testing.assert_close(after, norm(conv(x)), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before, after)


def test_a_frozen_norm_in_another_type_and_as_a_copy_is_itself():
    conv, norm, x = one_frozen()
    conv_norm(x, conv, norm)
    assert list(norm.state_dict()) == list(nn.BatchNorm2d(4).state_dict())
    copied = copy.deepcopy(norm)
    copied.running_mean.add_(7)
    torch.testing.assert_close(conv_norm(x, conv, copied), copied(conv(x)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(conv_norm(x, conv, norm), norm(conv(x)), rtol=1e-4, atol=1e-5)
    conv, norm, x = conv.double(), norm.double(), x.double()
    torch.testing.assert_close(conv_norm(x, conv, norm), norm(conv(x)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_under_autocast_weights_are_scaled_in_float32_and_rounded_once(dtype):
    conv, norm, _ = one_frozen()
    with torch.autocast("cpu", dtype):
        weight, shift = folded(conv, norm)
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    assert torch.equal(weight, (conv.weight * scale[:, None, None, None]).to(dtype))
    assert torch.equal(shift, (norm.bias - norm.running_mean * scale).to(dtype))
    slope = torch.randn_like(weight)
    weight.backward(slope)
    assert torch.equal(conv.weight.grad, slope.float() * scale[:, None, None, None])


def test_a_frozen_norm_compiles():
    conv, norm, x = one_frozen()
    compiled = torch.compile(conv_norm, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, conv, norm), norm(conv(x)), rtol=1e-4, atol=1e-5)


def test_torch_s_transforms_reach_through_a_frozen_norm():
    """Each image's own gradient, as for influence or curvature, beside those of one image after another."""
    net = lively(NETS["basic blocks"])
    freeze_batch_norm(net)  # in testing already
    weights = {name: value for name, value in net.named_parameters() if value.requires_grad}
    of_one = grad(lambda weights, image: functional_call(net, weights, (image[None],)).square().sum())
    found = vmap(of_one, in_dims=(None, 0))(weights, images())
    for i, image in enumerate(images()):
        expected = torch.autograd.grad(net(image[None]).square().sum(), weights.values())
        for name, gradient in zip(weights, expected, strict=True):
            scale = gradient.abs().max().item()
            torch.testing.assert_close(found[name][i], gradient, rtol=0, atol=1e-4 * scale, msg=name)
