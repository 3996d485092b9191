"""The 3x3 convolution of residual nets and of what stands on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet.convolution.tiles import Cut, cut_of
from resdet.convolution.versions import state_of
from resdet.convolution.winograd import Learnt, at_points, convolved
from resdet.tracing import is_traced, is_transformed

LEAST_CHANNELS = 256  # in and out
LEAST_TILES = 32


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution that keeps the map's size at stride 1, with ``nn.Conv2d``'s weights.

    In float32 on a CPU, with channels innermost, it goes by :mod:`resdet.convolution.winograd` where that is faster
    and the digits that it costs (:mod:`resdet.convolution.toom_cook`) are far below what training or a GPU's TF32
    leaves uncertain.  Forward and a training step, two cores of an EPYC (Zen 4), beside oneDNN's direct convolution:

        ===================================  =========  ==========
        maps, channels in and out              forward        step
        ===================================  =========  ==========
        300 regions, 7x7, 512                     2.6x        2.4x
        32 images, 14x14, 256                     1.3x        1.3x
        one image, 38x50, 256                     1.6x        1.5x
        one image, 38x50, 1024                    2.7x        2.3x
        one image, 76x100, 128 (not taken)   0.6x-1.2x   1.1x-1.4x
        one image, 152x200, 64 (not taken)        0.8x        0.6x
        ===================================  =========  ==========

    The weight is brought to the points once and kept until it changes: 4 times its memory for large maps, up to 9
    times for maps of 7x7 or less.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=bias)
        self._held: _Held | None = None

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W) -> (B, outputs, H/stride, W/stride)``, rounded up."""
        return self.convolve(x, self.weight, self.bias, (self.weight,))

    def convolve(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, source: Sequence[Tensor], eps: float = 0.0
    ) -> Tensor:
        """The same with another weight and bias in its own's place, made of ``source`` and a batch norm's ``eps``."""
        if weight.dtype != torch.float32:
            self._held = None  # it will not be asked for again
        if x.shape[2:] == (1, 1) and not is_traced(x):
            # the middle tap alone meets it; in bfloat16 with a stride, oneDNN never writes the others' gradients (2.14)
            return functional.conv2d(x, weight[:, :, 1:2, 1:2], bias)
        if not self._goes_by_points(x, weight, source):
            return functional.conv2d(x, weight, bias, self.stride, self.padding, self.dilation)  # type: ignore[arg-type]
        points = self._at_points(weight, cut_of(x.shape[2], x.shape[3]), source, eps)
        if torch.is_grad_enabled():
            return Learnt.apply(x, weight, bias, points)  # type: ignore[no-any-return]
        return convolved(x, points, bias)

    def _goes_by_points(self, x: Tensor, weight: Tensor, source: Sequence[Tensor]) -> bool:
        if x.device.type != "cpu" or x.dtype != torch.float32 or weight.dtype != torch.float32 or x.ndim != 4:
            return False
        if self.stride != (1, 1) or self.dilation != (1, 1) or min(weight.shape[:2]) < LEAST_CHANNELS:
            return False
        if torch.is_autocast_enabled("cpu") or is_traced(x) or is_traced(weight) or is_transformed():
            return False  # before maps are cut: torch.compile would go through all of that, for seconds
        if min(x.shape[2:]) < 2 or not x.is_contiguous(memory_format=torch.channels_last):
            return False
        down, across = cut_of(x.shape[2], x.shape[3]).tiles
        if len(x) * down * across < LEAST_TILES:
            return False
        return not any(tensor.is_inference() for tensor in source)  # they have no version to be known by

    def _at_points(self, weight: Tensor, cut: Cut, source: Sequence[Tensor], eps: float) -> Tensor:
        """Anew where it is first asked for, where a source was written to or is another one, or maps are cut otherwise.

        What was written through ``.data`` is noticed where it changed most numbers, see :func:`state_of`.
        """
        state = (cut.side, cut.read, eps, state_of(*source))
        held = self._held
        if held is None or held.state != state:
            place = None
            # in training only: else another thread may be reading what is there, and each has a grad mode of its own
            if held is not None and self.training and torch.is_grad_enabled():
                place = held.points if held.points.shape[1] == cut.points else None
            with torch.inference_mode(False), torch.no_grad():  # a step of training may use what testing has left
                points = at_points(weight, cut, place)
            held = self._held = _Held(state, tuple(t.detach() for t in source), points)
        return held.points

    def __getstate__(self) -> dict[str, Any]:
        """Copies and files are without what is held."""
        return {**self.__dict__, "_held": None}


class _Held(NamedTuple):
    """A weight at the points, and what it was brought there from."""

    state: tuple[object, ...]
    source: tuple[Tensor, ...]  # kept, so that no other tensor comes to lie where these are
    points: Tensor  # (K, P, C)
