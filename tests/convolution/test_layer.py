"""When a 3x3 convolution goes by points, and that what it holds for that is never stale, copied or in the way."""

import copy
import io
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from layer_at_work import CHANNELS, assert_right, conv, directly, maps
from torch import nn
from torch.nn import functional

from resdet.backbones.folding import conv_norm
from resdet.convolution import Conv3x3, layer


def holds(module):
    return module._held is not None


def test_it_is_torch_s_convolution_with_torch_s_weights_of_the_same_draw():
    torch.manual_seed(0)
    other = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
    for name, value in conv().state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    assert isinstance(conv(), nn.Conv2d)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("images, side", [(4, 9), (40, 7)], ids=["tiles", "whole maps"])
def test_large_work_goes_by_points(bias, images, side):
    module = conv(bias=bias)
    assert_right(module, maps(images, side))
    assert holds(module)


OTHERWISE = {
    "few tiles": lambda: (conv(), maps(3)),
    "channels outermost": lambda: (conv(), maps().contiguous()),
    "few channels": lambda: (Conv3x3(CHANNELS, 8), maps()),
    "striding": lambda: (conv(stride=2), maps()),
    "dilated": lambda: (conv(dilation=2), maps()),
    "float64": lambda: (conv().double(), maps().double()),
    "bfloat16": lambda: (conv().bfloat16(), maps().bfloat16()),
    "one row of cells": lambda: (conv(), maps()[:, :, :1].contiguous(memory_format=torch.channels_last)),
}


@pytest.mark.parametrize("make", OTHERWISE.values(), ids=OTHERWISE.keys())
def test_what_would_not_gain_is_torch_s_own_to_the_bit(make):
    module, x = make()
    settings = module.weight, module.bias, module.stride, module.padding, module.dilation
    assert torch.equal(module(x), functional.conv2d(x, *settings))
    assert not holds(module)


@pytest.mark.parametrize(
    "images, height, width, by_points",
    [(32, 2, 2, True), (31, 2, 2, False), (1, 9, 44, True), (1, 9, 40, False)],
    ids=["32 whole maps of the smallest size", "31", "3 x 11 tiles", "3 x 10 tiles"],
)
def test_work_is_large_from_32_tiles_on(images, height, width, by_points):
    module, x = conv(), torch.randn(images, CHANNELS, height, width).contiguous(memory_format=torch.channels_last)
    assert_right(module, x)
    assert holds(module) == by_points


def test_autocast_has_its_type():
    module = conv()
    with torch.autocast("cpu", torch.bfloat16):
        assert module(maps()).dtype == torch.bfloat16
    assert not holds(module)


def test_the_weight_is_brought_to_the_points_once_for_all_calls(monkeypatch):
    calls = []
    real = layer.at_points
    monkeypatch.setattr(layer, "at_points", lambda *arguments: calls.append(0) or real(*arguments))
    module = conv()
    for images, side in ((4, 9), (1, 9), (5, 9), (2, 30)):  # any large map has the same tiles, and few go directly
        module(maps(images, side))
    assert len(calls) == 1
    module(maps(40, 7))
    assert len(calls) == 2


CHANGES = {
    "a step": lambda module: module.weight.sub_(0.3),
    "another parameter": lambda module: setattr(module, "weight", nn.Parameter(torch.randn_like(module.weight))),
    "a state dict": lambda module: module.load_state_dict({k: v + 1 for k, v in module.state_dict().items()}),
    "another map size": lambda module: module(maps(40, 7)),
    "a step through .data, as PyTorch's tutorial takes it": lambda module: module.weight.data.sub_(0.3),
    "an average through .data": lambda module: module.weight.data.mul_(0.9).add_(torch.ones(()), alpha=0.1),
    "a step through numpy": lambda module: module.weight.detach().numpy().__isub__(0.3),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_is_held_follows_the_weight(change):
    module = conv()
    module(maps())
    with torch.no_grad():
        change(module)
    assert_right(module, maps())


def test_another_weight_that_comes_to_lie_where_the_old_one_was_is_told_from_it():
    module = conv()
    module(maps())
    module.bfloat16().float()  # two new storages without a new version; the second may take the first one's place
    assert_right(module, maps())


def test_a_weight_whose_kernels_are_one_in_memory_is_known_by_what_there_is_of_it():
    module, x = conv(), maps()
    module.weight = nn.Parameter(torch.randn(1, CHANNELS, 3, 3).expand(CHANNELS, -1, -1, -1))
    for _ in range(2):
        assert_right(module, x)
        assert holds(module)
        with torch.no_grad():
            module.weight[:1] += 1


def test_a_weight_of_a_tensor_s_subclass_is_asked_for_the_convolution_itself():
    """As quantized and distributed ones, which are more than the numbers that lie there."""
    asked = []

    class OfOnesOwn(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, arguments=(), settings=None):
            asked.append(function)
            return super().__torch_function__(function, types, arguments, settings)

    module = conv()
    module.weight = nn.Parameter(module.weight.detach().as_subclass(OfOnesOwn))
    module(maps())
    assert functional.conv2d in asked
    assert not holds(module)


def test_memory_is_written_again_where_it_fits():
    """In training; in testing another thread may be reading there."""
    module = conv()
    module(maps())
    first = module._held.points
    with torch.no_grad():
        module.weight.add_(1)
    module(maps())
    assert module._held.points is first
    with torch.no_grad():
        module.weight.add_(1)
    module.eval()(maps())
    assert module._held.points is not first
    first = module._held.points
    with torch.no_grad():
        module.weight.add_(1)
        module(maps())
    assert module._held.points is not first


def test_what_is_held_is_let_go_where_it_is_no_use_any_more():
    module = conv()
    module(maps())
    module.bfloat16()(maps().bfloat16())
    assert not holds(module)


def test_copies_and_files_are_without_it():
    module = conv()
    module(maps())
    assert not holds(copy.deepcopy(module))
    file = io.BytesIO()
    torch.save(module, file)
    assert len(file.getvalue()) < 1.1 * module.weight.numel() * 4
    assert "_held" not in module.state_dict()


def test_training_goes_on_from_what_testing_has_left():
    module, x = conv(), maps()
    with torch.inference_mode():
        expected = module(x)
    module(x).sum().backward()
    with torch.no_grad():
        module.weight.zero_()
    assert not torch.equal(module(x), expected)
    with torch.inference_mode():
        assert torch.equal(module(x), module.bias[:, None, None].expand_as(expected))


def test_weights_born_in_inference_mode_have_no_versions_and_go_directly():
    with torch.inference_mode():
        module = conv()
        assert_right(module, maps())
        shift = torch.zeros(CHANNELS)
    assert not holds(module)
    module = conv()
    module.convolve(maps(), module.weight, shift, (module.weight, shift))  # one source without a version is enough
    assert not holds(module)


def test_a_step_learns_what_torch_s_would():
    ours, x = conv(), maps()
    theirs = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).double()
    theirs.load_state_dict(ours.state_dict())
    for module, inputs in ((ours, x), (theirs, x.double())):
        optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            module(inputs).square().mean().backward()
            optimizer.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other.float(), rtol=0, atol=1e-5)


def test_frozen_batch_norm_is_a_part_of_it_and_followed_when_it_changes():
    module, norm, x = conv(bias=False), nn.BatchNorm2d(CHANNELS).eval().requires_grad_(False), maps()
    changes = [partial(norm.running_var.fill_, variance) for variance in (1.0, 0.25, 4.0)]
    for change in (*changes, partial(setattr, norm, "eps", 1.0), partial(norm.running_mean.data.fill_, 2.0)):
        change()
        expected = norm(directly(module, x))
        found = conv_norm(x, module, norm)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.abs().max().item())
        assert holds(module)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.enable_grad])
def test_threads_that_test_one_network_at_once_do_not_disturb_each_other(mode):
    """Also where they have gradients on, as each new thread has: ``no_grad`` is of the thread that asks for it."""
    module = conv().eval()
    inputs = [maps(70, side=7)[:, :, :5], maps(70, side=7)[:, :, :, :5]]  # as many points, but other ones
    inputs = [x.contiguous(memory_format=torch.channels_last) for x in inputs]
    expected = [directly(module, x) for x in inputs]

    @mode()
    def test(i):
        return [module(inputs[i % 2]).detach() for _ in range(4)]

    with ThreadPoolExecutor(4) as threads:
        for i, found in enumerate(threads.map(test, range(4))):
            for one in found:
                torch.testing.assert_close(one, expected[i % 2], rtol=0, atol=1e-4 * expected[i % 2].abs().max().item())


def test_torch_compile_sees_a_convolution_alone():
    module = conv()
    graph = torch.export.export(module, (maps(),)).graph
    assert [str(node.target) for node in graph.nodes if node.op == "call_function"] == ["aten.conv2d.default"]


@pytest.mark.parametrize("settings", [{}, {"stride": 2}, {"dilation": 2}], ids=str)
def test_a_map_of_one_cell_meets_the_middle_tap_alone(settings):
    """In bfloat16 with a stride torch 2.14 gave the other taps whatever lay in memory for a gradient, now and then."""
    torch.manual_seed(0)
    module = Conv3x3(8, 8, **settings).to(memory_format=torch.channels_last)
    x = torch.randn(64, 8, 1, 1).contiguous(memory_format=torch.channels_last)
    plain = nn.Conv2d(8, 8, 3, padding=module.dilation, **settings).double()
    plain.load_state_dict({name: value.double() for name, value in module.state_dict().items()})
    plain(x.double()).square().sum().backward()
    for _ in range(20):
        torch.full((8, 9, 8), torch.nan)  # what is freed here may lie where a gradient will
        module.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            answer = module(x)
        answer.float().square().sum().backward()
        assert answer.dtype == torch.bfloat16
        assert module.weight.grad.flatten(2)[:, :, [0, 1, 2, 3, 5, 6, 7, 8]].eq(0).all()
        torch.testing.assert_close(module.weight.grad.double(), plain.weight.grad, rtol=0, atol=0.5)
        torch.testing.assert_close(module.bias.grad.double(), plain.bias.grad, rtol=0.05, atol=0.5)


def test_gradients_of_gradients_are_torch_s():
    """Hessians times vectors: what is no gradient to torch adds nothing to them, without a word."""
    ours, x = conv(), maps()
    theirs = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).to(memory_format=torch.channels_last)
    theirs.load_state_dict(ours.state_dict())
    found = []
    for module in (ours, theirs):
        inputs = [x.clone(memory_format=torch.preserve_format).requires_grad_(), *module.parameters()]
        first = torch.autograd.grad(module(inputs[0].tanh()).tanh().mean(), inputs, create_graph=True)
        found.append(torch.autograd.grad(first, inputs, [torch.ones_like(one) for one in first]))
    assert holds(ours)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4 * other.abs().max().item())
