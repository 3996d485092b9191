"""Batch norm with fixed statistics scales and shifts each channel, which the convolution before it can do itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet.convolution import Conv1x1, Conv3x3
from resdet.convolution.versions import state_of
from resdet.tracing import is_transformed

HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def stands_still(norm: nn.Module) -> bool:
    """Whether its answer for an image does not depend on the batch: batch norm in eval mode, or one folded away."""
    return isinstance(norm, nn.Identity) or (isinstance(norm, nn.BatchNorm2d) and not norm.training)


def as_they_are(conv: nn.Module, norm: nn.Module) -> bool:
    """Whether their tensors tell what they compute: neither is of a subclass, and the convolution has no hook.

    Pruning and the older ``weight_norm`` and ``spectral_norm`` make the weight in a hook; parametrizations, adapters
    and fake quantization are subclasses, or change in a hook what goes in or comes out.
    """
    known = type(conv) in (nn.Conv2d, Conv1x1, Conv3x3) and type(norm) in (nn.BatchNorm2d, nn.Identity)
    return known and not have_hooks(conv)


def have_hooks(*modules: nn.Module) -> bool:
    """Whether calling one of them runs something beside its forward."""
    return any(getattr(module, name) for module in modules for name in HOOKS)


def folded(conv: nn.Conv2d, norm: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of one convolution that computes ``norm(conv(x))``, for a norm that :func:`stands_still`.

    Both must be :func:`as_they_are`.  The weight is computed at each call, so it is never out of date while it learns;
    gradients flow through.  With a frozen norm it comes in autocast's type, where that is on: two launches a step,
    forward and back, where scaling and casting one after the other take ten.
    """
    if isinstance(norm, nn.Identity):
        return conv.weight, conv.bias
    assert isinstance(norm, nn.BatchNorm2d)
    as_ever = not (torch.compiler.is_compiling() or norm.weight.is_inference() or is_transformed())
    if _frozen(norm) and conv.bias is None and as_ever:
        held = _held(norm, _computed_in(conv.weight))
        return _Scaled.apply(conv.weight, held.scale, held.shift.dtype), held.shift  # type: ignore[no-any-return]
    scale, shift = _scale_and_shift(norm)
    if conv.bias is not None:
        shift = shift + conv.bias * scale
    return conv.weight * scale[:, None, None, None], shift


def conv_norm(x: Tensor, conv: nn.Conv2d, norm: nn.Module) -> Tensor:
    """``norm(conv(x))``, as one convolution where the norm is frozen in training: one map less to compute and to keep.

    Otherwise, and where they are not :func:`as_they_are`, the modules themselves are called.  For testing
    :func:`fold_batch_norm` saves as much.
    """
    if not (isinstance(norm, nn.BatchNorm2d) and _frozen(norm) and as_they_are(conv, norm)):
        return norm(conv(x))  # type: ignore[no-any-return]
    weight, bias = folded(conv, norm)
    if isinstance(conv, Conv3x3):
        source: Any = conv.weight, norm.weight, norm.running_var
        return conv.convolve(x, weight, bias, source, norm.eps)
    if isinstance(conv, Conv1x1):
        return conv.convolve(x, weight, bias)
    return functional.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation)  # type: ignore[arg-type]


def _frozen(norm: nn.BatchNorm2d) -> bool:
    """Whether it does not learn while gradients are on: a norm in testing is not meant."""
    learns = norm.weight.requires_grad or norm.bias.requires_grad
    return torch.is_grad_enabled() and not norm.training and not learns


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """``norm(x) == x * scale + shift``, ``(C,)`` each."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def _computed_in(weight: Tensor) -> torch.dtype:
    """The type of a convolution with this weight: autocast's, where it is on."""
    kind = weight.device.type
    if torch.is_autocast_enabled(kind) and weight.dtype != torch.float64:
        return torch.get_autocast_dtype(kind)
    return weight.dtype


class _Held(NamedTuple):
    """A frozen norm's scale and shift, and what they were computed from."""

    state: tuple[object, ...]
    source: tuple[Tensor, ...]  # kept, so that no other tensor gets their memory, by which `state` knows them
    scale: Tensor  # (C, 1, 1, 1)
    shift: Tensor  # (C,) in the convolution's type


def _held(norm: nn.BatchNorm2d, dtype: torch.dtype) -> _Held:
    """Computed at the first call, and again when a tensor of the norm was written to or replaced.

    On a GPU, writing through ``.data`` goes unnoticed, as it does by autograd; so does what DistributedDataParallel
    does before each step, which sends the first process's buffers to the others: frozen ones are the same there.
    """
    tensors: list[Any] = [norm.weight, norm.bias, norm.running_mean, norm.running_var]
    state = (dtype, norm.eps, state_of(*tensors))
    held: _Held | None = norm.__dict__.get("held")
    if held is None or held.state != state:
        scale, shift = _scale_and_shift(norm)
        held = _Held(state, tuple(t.detach() for t in tensors), scale[:, None, None, None], shift.to(dtype))
        norm.__dict__["held"] = held  # no module, parameter or buffer: checkpoints do not have it
    return held


class _Scaled(torch.autograd.Function):
    """``(weight * scale).to(dtype)`` in one launch, and its gradient in one."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(scale)
        return torch.mul(weight, scale, out=torch.empty_like(weight, dtype=dtype))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (scale,) = ctx.saved_tensors
        return gradient * scale, None, None


@torch.no_grad()
def fold_batch_norm(net: nn.Module) -> None:
    """Make every batch norm that follows a convolution a part of it, for good; an identity takes its place.

    For weights that will not learn any more.  It is done once, where they are opened to be run.  The state dict has
    other keys and values afterwards.

    Raises:
        ValueError: a batch norm is in training mode, or it and its convolution are not :func:`as_they_are`.
    """
    for parent, conv, norm in list(_pairs(net)):
        before, after = getattr(parent, conv), getattr(parent, norm)
        if not as_they_are(before, after):
            raise ValueError(f"{conv} and {norm}: a weight made in a hook or a subclass is not a part of a convolution")
        if not stands_still(after):
            raise ValueError(f"{norm}: batch norm in training mode is not a part of a convolution: wanted net.eval()")
        weight, bias = folded(before, after)
        before.weight = nn.Parameter(weight.clone(memory_format=torch.preserve_format), requires_grad=False)
        before.bias = None if bias is None else nn.Parameter(bias.clone(), requires_grad=False)
        setattr(parent, norm, nn.Identity())


@torch.no_grad()
def hold_convolutions(net: nn.Module, dtype: torch.dtype) -> None:
    """Convert convolutions' weights, for good, to the type that autocast would give them at each call.

    The answers stay the same.  For weights that will not learn any more, in a network that always runs under
    autocast.  It takes half the memory and less time: 6 % of a ResNet-50 on one image of 224 pixels (a core of an
    EPYC), and a fifth of all that the host launches on a GPU for a detector.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.to(dtype)


def _pairs(net: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Parent and names of each convolution and the batch norm behind it: ``conv1`` and ``bn1``, torchvision's names,
    or neighbours in a sequence."""
    for parent in net.modules():
        names = [name for name, child in parent.named_children() if isinstance(child, nn.Conv2d)]
        for name in names:
            if isinstance(parent, nn.Sequential):
                after = str(int(name) + 1) if name.isdecimal() else ""
            else:
                after = name.replace("conv", "bn")
            if isinstance(getattr(parent, after, None), nn.BatchNorm2d):
                yield parent, name, after
