"""A 3x3 convolution as matrix products at the points of :mod:`resdet.convolution.toom_cook` (Lavin and Gray 2015).

Maps and weights are ``(B, H, W, C)`` and ``(K, 9, C)`` here, channels innermost: both are carried to the points by a
small matrix from the left, one product for each point and all tiles follows, and the way back is a small matrix again.
The gradients are the transposed products.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from resdet.convolution.tiles import (
    Cut,
    add_tiles_read,
    bordered,
    cut_of,
    parts,
    put,
    taken,
    tiles_read,
    without_border,
)

AT_ONCE = 2**23 - 2**12  # numbers at the points, in work together: what is below 32 MiB glibc keeps when it is freed


def at_points(weight: Tensor, cut: Cut, out: Tensor | None = None) -> Tensor:
    """``(K, C, 3, 3)`` -> ``(K, P, C)``; into memory that is there it takes a quarter of the time."""
    taps = weight.detach().permute(0, 2, 3, 1).reshape(len(weight), 9, -1)  # (K, 9, C)
    matrix = cut.product.taps.expand(len(taps), -1, -1)
    return torch.bmm(matrix, taps, out=out)


def convolved(x: Tensor, points: Tensor, bias: Tensor | None) -> Tensor:
    """``(B, C, H, W)`` -> ``(B, K, H, W)``, both channels_last: zeros around it, stride 1.

    Args:
        points: :func:`at_points` of the weight, for a map of this size.
        bias: ``(K,)``.
    """
    cut = cut_of(x.shape[2], x.shape[3])
    shape = len(x), len(points), *x.shape[2:]
    out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    maps, given = bordered(cut, x.permute(0, 2, 3, 1)), out.permute(0, 2, 3, 1)
    weights = points.permute(1, 2, 0)  # (P, C, K)
    for part in parts(cut, len(x), max(points.shape[0], points.shape[2]), AT_ONCE):
        products = torch.bmm(_taken(cut, maps, part).transpose(0, 1), weights).transpose(0, 1)  # (T, P, K)
        if cut.whole:
            _matmul(cut.product.give, products, given[part[0]].flatten(1, 2))
        else:
            put(cut, given, cut.product.give @ products, *part)
    if bias is not None:
        given += bias
    return out


def gradients(
    x: Tensor, gradient: Tensor, points: Tensor, of_x: bool, of_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Of the maps ``(B, C, H, W)`` and of the weight ``(K, C, 3, 3)``, where wanted."""
    cut = cut_of(x.shape[2], x.shape[3])
    maps, given = bordered(cut, x.permute(0, 2, 3, 1)), gradient.permute(0, 2, 3, 1)
    outputs, count, inputs = points.shape
    weights = points.transpose(0, 1)  # (P, K, C)
    to_x = torch.zeros_like(maps) if of_x else None
    to_weight = x.new_zeros(outputs, 9, inputs) if of_weight else None
    for part in parts(cut, len(x), max(outputs, inputs), AT_ONCE):
        learnt = cut.product.give.T @ taken(cut, given, *part)  # (T, P, K)
        if to_x is not None:
            back = torch.bmm(learnt.transpose(0, 1), weights).transpose(0, 1)  # (T, P, C)
            add_tiles_read(cut, to_x, cut.product.take.T @ back, *part)
        if to_weight is not None:
            read = _taken(cut, maps, part).transpose(0, 1)  # (P, T, C)
            several = max(1, AT_ONCE // (count * inputs))  # output channels
            for some, into in zip(learnt.split(several, 2), to_weight.split(several), strict=True):
                product = torch.bmm(some.permute(1, 2, 0), read).transpose(0, 1)  # (k, P, C)
                into.baddbmm_(cut.product.taps.T.expand(len(product), -1, -1), product)
    return (
        None if to_x is None else without_border(cut, to_x).permute(0, 3, 1, 2),
        None if to_weight is None else to_weight.view(outputs, 3, 3, inputs).permute(0, 3, 1, 2),
    )


def _taken(cut: Cut, maps: Tensor, part: tuple[slice, slice]) -> Tensor:
    """``(T, P, C)``: what a part's tiles read, at the points."""
    return cut.product.take @ tiles_read(cut, maps, *part)


def _matmul(matrix: Tensor, batch: Tensor, out: Tensor) -> None:
    torch.bmm(matrix.expand(len(batch), -1, -1), batch, out=out)


class Learnt(torch.autograd.Function):
    """:func:`convolved` with gradients of ``x``, the weight and the bias; theirs, where asked for, are torch's own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, points: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.points, ctx.version = points, points._version
        return convolved(x, points, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        points, (of_x, of_weight, of_bias, _) = ctx.points, ctx.needs_input_grad
        if torch.is_grad_enabled():  # create_graph=True: torch's has a gradient
            sides, wanted = [1, 1], [of_x, of_weight, of_bias]
            given = torch.ops.aten.convolution_backward(
                gradient, x, weight, [len(weight)], sides, sides, sides, False, [0, 0], 1, wanted
            )
            return *given, None
        if points._version != ctx.version:  # another weight has been brought to the points since
            points = at_points(weight, cut_of(x.shape[2], x.shape[3]))
        found = gradients(x, gradient, points, of_x, of_weight)
        return *found, gradient.sum((0, 2, 3)) if of_bias else None, None
