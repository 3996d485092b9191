"""A 3x3 convolution by points beside torch's: maps, gradients, parts, and what is never written."""

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from resdet.convolution import winograd
from resdet.convolution.tiles import add_tiles_read, bordered, cut_of, parts, put, taken, tiles_read, without_border

SIZES = {
    "whole": (7, 7),
    "whole, not square": (3, 6),
    "two cells": (2, 2),
    "tiles that fit": (8, 12),
    "tiles beyond the edge": (9, 11),
    "whole along one side": (5, 10),
    "whole along the other": (17, 4),
}
each_size = pytest.mark.parametrize("height, width", SIZES.values(), ids=SIZES.keys())


def drawn(height, width, images=3, inputs=5, outputs=6):
    torch.manual_seed(0)
    x = torch.randn(images, inputs, height, width).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(outputs, inputs, 3, 3) / 7
    return x, weight, torch.randn(outputs)


def learn(convolve, *tensors):
    """The answer and the gradients of tensors, of a loss that tells all outputs apart."""
    tensors = [tensor.detach().clone(memory_format=torch.preserve_format).requires_grad_() for tensor in tensors]
    answer = convolve(*tensors)
    told_apart = torch.linspace(-1, 2, answer.numel()).view_as(answer)
    (answer * told_apart).sum().backward()
    return [answer.detach(), *(tensor.grad for tensor in tensors)]


def by_points(x, weight, bias):
    points = winograd.at_points(weight, cut_of(x.shape[2], x.shape[3]))
    return winograd.Learnt.apply(x, weight, bias, points)


def directly(x, weight, bias):
    """In float64."""
    return functional.conv2d(x.double(), weight.double(), bias.double(), padding=1).float()


def assert_near(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=3e-4 * other.abs().max().item())


@each_size
@pytest.mark.parametrize("at_once", [winograd.AT_ONCE, 700, 1], ids=["at once", "parts", "a row of tiles"])
def test_answers_and_gradients_are_those_of_torch_in_float64(height, width, at_once, monkeypatch):
    monkeypatch.setattr(winograd, "AT_ONCE", at_once)
    tensors = drawn(height, width)
    assert_near(learn(by_points, *tensors), learn(directly, *tensors))


def test_worked_by_hand():
    x, weight = torch.zeros(1, 1, 8, 9), torch.arange(1.0, 10).view(1, 1, 3, 3)
    x[0, 0, 3, 0] = 2.0  # at the left edge, on the border of two tiles: the right part of the kernel, turned about
    found = by_points(x.contiguous(memory_format=torch.channels_last), weight, torch.tensor([0.5]))
    expected = torch.full((8, 9), 0.5)
    expected[2:5, :2] += 2 * torch.tensor([[8.0, 7.0], [5.0, 4.0], [2.0, 1.0]])
    torch.testing.assert_close(found[0, 0], expected, rtol=0, atol=1e-4)


@each_size
def test_transposes_are_transposes(height, width):
    """<A x, y> == <x, A' y>, in float64, of everything that is cut and put together."""
    torch.manual_seed(0)
    cut, maps, channels = cut_of(height, width), 3, 2
    x = torch.randn(maps, height, width, channels, dtype=torch.float64)
    border = torch.randn_like(bordered(cut, x))
    torch.testing.assert_close((bordered(cut, x) * border).sum(), (x * without_border(cut, border)).sum())
    for part in parts(cut, maps, channels, 300):
        read = tiles_read(cut, border, *part)
        tiles, back = torch.randn_like(read), torch.zeros_like(border)
        add_tiles_read(cut, back, tiles, *part)
        torch.testing.assert_close((read * tiles).sum(), (border * back).sum())
        given, out = taken(cut, x, *part), torch.zeros_like(x)
        tiles = torch.randn_like(given)
        put(cut, out, tiles, *part)
        torch.testing.assert_close((given * tiles).sum(), (x * out).sum())


def test_tiles_are_as_few_as_can_be():
    regions, large = cut_of(7, 7), cut_of(38, 50)  # conv5's of a region, conv4's of an image
    assert (regions.whole, regions.points) == (True, 81)
    assert (large.tiles, large.points) == ((10, 13), 36)
    assert len(list(parts(large, 1, 1024, winograd.AT_ONCE))) == 1
    assert len(list(parts(regions, 202, 512, winograd.AT_ONCE))) == 1
    assert [maps for maps, _ in parts(regions, 203, 512, winograd.AT_ONCE)] == [slice(0, 101), slice(101, 203)]


@each_size
@pytest.mark.parametrize("most", [1, 500, 10**6])
def test_parts_are_every_row_of_tiles_once(height, width, most):
    cut, seen = cut_of(height, width), torch.zeros(5, cut_of(height, width).tiles[0])
    for maps, rows in parts(cut, 5, 4, most):
        seen[maps, rows] += 1
        tiles = (maps.stop - maps.start) * (rows.stop - rows.start) * cut.tiles[1]
        assert tiles * cut.points * 4 <= most or tiles == cut.tiles[1]
    assert (seen == 1).all()


class Products(TorchDispatchMode):
    """Keeps count of the numbers in the largest product of matrices."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default):
            self.largest = max(self.largest, found.numel())
        return found


@pytest.mark.parametrize("inputs, outputs", [(8, 90), (90, 8)])
def test_no_more_numbers_than_agreed_are_at_the_points_at_once(inputs, outputs, monkeypatch):
    x, weight, bias = drawn(24, 24, inputs=inputs, outputs=outputs)
    cut = cut_of(24, 24)
    points, most = winograd.at_points(weight, cut), 36 * 6 * 90  # of a row of 6 tiles; the weight has more: 36 * 8 * 90
    monkeypatch.setattr(winograd, "AT_ONCE", most)
    with Products() as there:
        answer = winograd.convolved(x, points, bias)
    with Products() as back:
        winograd.gradients(x, torch.ones_like(answer), points, True, True)
    assert there.largest == back.largest == most


def test_no_image_gives_no_map_and_no_gradient():
    x, weight, bias = drawn(8, 8, images=0)
    answer, of_x, of_weight, of_bias = learn(by_points, x, weight, bias)
    assert answer.shape == (0, 6, 8, 8)
    assert of_x.shape == x.shape
    assert not of_weight.any() and not of_bias.any()


@pytest.mark.parametrize("learnt", [(True, False, False), (False, True, False), (False, False, True)])
def test_only_what_learns_has_a_gradient(learnt):
    tensors = drawn(9, 6)
    expected = learn(directly, *tensors)[1:]
    for tensor, learns in zip(tensors, learnt, strict=True):
        tensor.requires_grad_(learns)
    answer = by_points(*tensors)
    (answer * torch.linspace(-1, 2, answer.numel()).view_as(answer)).sum().backward()
    for tensor, learns, other in zip(tensors, learnt, expected, strict=True):
        assert (tensor.grad is not None) == learns
        if learns:
            assert_near([tensor.grad], [other])


def test_points_written_anew_between_forward_and_backward_do_not_change_gradients():
    x, weight, bias = drawn(9, 6)
    cut = cut_of(9, 6)
    points = winograd.at_points(weight, cut)

    def interrupted(x, weight, bias):
        answer = winograd.Learnt.apply(x, weight, bias, points)
        winograd.at_points(torch.randn_like(weight), cut, points)
        return answer

    assert_near(learn(interrupted, x, weight, bias), learn(directly, x, weight, bias))


def test_nan_and_infinity_stay_in_the_maps_and_output_channels_that_they_reach():
    x, weight, bias = drawn(10, 10)
    x[1, 2, 4, 4] = float("nan")
    answer = by_points(x, weight, bias)
    assert answer[1].isnan().any()
    assert answer[[0, 2]].isfinite().all()


def test_two_runs_give_equal_bits():
    tensors = drawn(19, 13, images=2, inputs=32, outputs=48)
    for one, other in zip(learn(by_points, *tensors), learn(by_points, *tensors), strict=True):
        assert torch.equal(one, other)
