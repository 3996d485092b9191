"""RoI pool as PyTorch knows it: an operator with a gradient, that ``torch.compile`` leaves whole.

Autocast leaves it alone: the answer has the type of the features, and gradients are summed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from resdet.ops.kernels import runs_triton
from resdet.ops.regions import empty_map, empty_pooled, is_channels_last
from resdet.ops.roi_pool import cpu
from resdet.tracing import is_traced


def forward(features: Tensor, rois: Tensor, size: int, stride: float) -> Tensor:
    """See :func:`resdet.ops.roi_pool`; without a gradient."""
    if runs_triton(features):
        from resdet.ops.roi_pool import triton  # here, so that a CPU never imports Triton

        return triton.forward(features, rois, size, stride)
    return cpu.forward(features, rois, size, stride)


def backward(gradient: Tensor, features: Tensor, rois: Tensor, stride: float, channels_last: bool) -> Tensor:
    """Gradient of the features from that of the bins, ``(R, C, size, size)``."""
    if runs_triton(features):
        from resdet.ops.roi_pool import triton

        return triton.backward(gradient, features, rois, stride, channels_last)
    return cpu.backward(gradient, features, rois, stride, channels_last)


def run(features: Tensor, rois: Tensor, size: int, stride: float) -> Tensor:
    """The operator where torch traces, else its work alone: see :func:`resdet.tracing.is_traced`."""
    if is_traced(features):
        return roi_pool(features, rois, size, stride)
    if features.requires_grad and torch.is_grad_enabled():
        return _Learnt.apply(features, rois, size, stride)  # type: ignore[no-any-return]
    return forward(features, rois, size, stride)


class _Learnt(torch.autograd.Function):
    """With a gradient, outside of torch's operators."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        if not runs_triton(inputs[0]):
            _remember(ctx, inputs, None)
            return forward(*inputs)
        from resdet.ops.roi_pool import triton

        pooled, maxima = triton.forward_and_maxima(*inputs)
        _remember(ctx, inputs, None, maxima)
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True: the operator, which says that its gradient has none
            return _gradients(roi_pool_backward, ctx, gradient)
        _, _, *maxima = ctx.saved_tensors
        if not maxima:
            return _gradients(backward, ctx, gradient)
        from resdet.ops.roi_pool import triton

        return _gradients(partial(triton.backward, maxima=triton.Maxima(*maxima)), ctx, gradient)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor | None, maxima: Sequence[Tensor] = ()) -> None:
    features, rois, _, ctx.stride = inputs
    ctx.save_for_backward(features, rois, *maxima)
    ctx.channels_last = is_channels_last(features)


roi_pool = torch.library.custom_op("resdet::roi_pool", forward, mutates_args=())
roi_pool_backward = torch.library.custom_op("resdet::roi_pool_backward", backward, mutates_args=())


@roi_pool.register_fake
def _(features: Tensor, rois: Tensor, size: int, stride: float) -> Tensor:
    return empty_pooled(features, rois, size)


@roi_pool_backward.register_fake
def _(gradient: Tensor, features: Tensor, rois: Tensor, stride: float, channels_last: bool) -> Tensor:
    return empty_map(gradient, features.shape, channels_last)


def _gradients(of_map: Callable[..., Tensor], ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    found = of_map(gradient, *ctx.saved_tensors[:2], ctx.stride, ctx.channels_last)
    return found, None, None, None


roi_pool.register_autograd(partial(_gradients, roi_pool_backward), setup_context=_remember)


def _refuse(ctx: Any, gradient: Tensor) -> None:
    raise NotImplementedError("the gradient of RoI pool has no gradient here: RoI align's has")


roi_pool_backward.register_autograd(_refuse)
