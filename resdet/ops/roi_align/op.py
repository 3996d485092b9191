"""RoI align as PyTorch knows it: an operator with a gradient, that ``torch.compile`` leaves whole.

Autocast leaves it alone: the answer has the type of the features, bfloat16 from a convolution under autocast, and
is summed in float32 either way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from resdet.ops.kernels import runs_triton
from resdet.ops.regions import empty_map, empty_pooled, is_channels_last
from resdet.ops.roi_align import cpu
from resdet.ops.roi_align.sampling import Rule
from resdet.tracing import is_traced


def forward(
    features: Tensor, rois: Tensor, size: int, stride: float, sampling: int, aligned: bool, step: int
) -> Tensor:
    """See :func:`resdet.ops.roi_align`; without a gradient."""
    rule = Rule(size, stride, sampling, aligned, step)
    if runs_triton(features):
        from resdet.ops.roi_align import triton  # here, so that a CPU never imports Triton

        return triton.forward(features, rois, rule)
    with torch.autocast(features.device.type, enabled=False):
        return cpu.forward(features, rois, rule)


def backward(
    gradient: Tensor,
    rois: Tensor,
    shape: Sequence[int],
    size: int,
    stride: float,
    sampling: int,
    aligned: bool,
    step: int,
    channels_last: bool,
) -> Tensor:
    """Gradient of the features, ``shape`` ``(B, C, H, W)``, from that of the bins ``(R, C, n, n)``."""
    rule = Rule(size, stride, sampling, aligned, step)
    if runs_triton(gradient):
        from resdet.ops.roi_align import triton

        return triton.backward(gradient, rois, shape, rule, channels_last)
    with torch.autocast(gradient.device.type, enabled=False):
        return cpu.backward(gradient, rois, shape, rule, channels_last)


def run(features: Tensor, rois: Tensor, size: int, stride: float, sampling: int, aligned: bool, step: int) -> Tensor:
    """The operator where torch traces, else its work alone: see :func:`resdet.tracing.is_traced`."""
    rule = size, stride, sampling, aligned, step
    if is_traced(features):
        return roi_align(features, rois, *rule)
    if features.requires_grad and torch.is_grad_enabled():
        return _Learnt.apply(features, rois, *rule)  # type: ignore[no-any-return]
    return forward(features, rois, *rule)


class _Learnt(torch.autograd.Function):
    """With a gradient, outside of torch's operators."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        if not runs_triton(inputs[0]):
            _remember(ctx, inputs, None)
            return forward(*inputs)
        from resdet.ops.roi_align import triton

        features, rois, *rule = inputs
        pooled, weights = triton.forward_and_weights(features, rois, Rule(*rule))
        _remember(ctx, inputs, None, weights)
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True: the operator, which has a gradient of its own
            return _gradients(roi_align_backward, ctx, gradient)
        rois, *weights = ctx.saved_tensors
        if not weights:
            return _gradients(backward, ctx, gradient)
        from resdet.ops.roi_align import triton

        rule, held = Rule(*ctx.rule), triton.Weights(*weights)
        return triton.backward(gradient, rois, ctx.shape, rule, ctx.channels_last, held), *[None] * 6


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor | None, weights: Sequence[Tensor] = ()) -> None:
    features, rois, *rule = inputs
    ctx.save_for_backward(rois, *weights)
    ctx.shape, ctx.rule, ctx.channels_last = features.shape, rule, is_channels_last(features)


roi_align = torch.library.custom_op("resdet::roi_align", forward, mutates_args=())
roi_align_backward = torch.library.custom_op("resdet::roi_align_backward", backward, mutates_args=())


@roi_align.register_fake
def _(features: Tensor, rois: Tensor, size: int, stride: float, sampling: int, aligned: bool, step: int) -> Tensor:
    return empty_pooled(features, rois, -(-size // step))


@roi_align_backward.register_fake
def _(
    gradient: Tensor,
    rois: Tensor,
    shape: Sequence[int],
    size: int,
    stride: float,
    sampling: int,
    aligned: bool,
    step: int,
    channels_last: bool,
) -> Tensor:
    return empty_map(gradient, shape, channels_last)


def _gradients(of_map: Callable[..., Tensor], ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    found = of_map(gradient, ctx.saved_tensors[0], ctx.shape, *ctx.rule, ctx.channels_last)
    return found, None, None, None, None, None, None


roi_align.register_autograd(partial(_gradients, roi_align_backward), setup_context=_remember)


def _remember_rule(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, rois, _, *ctx.rule, _ = inputs
    ctx.save_for_backward(rois)


def _gradients_of_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """RoI align is linear: what it does to the map it does to the gradient of the map's gradient."""
    return roi_align(gradient, *ctx.saved_tensors, *ctx.rule), *[None] * 8


roi_align_backward.register_autograd(_gradients_of_gradient, setup_context=_remember_rule)
