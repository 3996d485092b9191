"""The 1x1 convolution of residual nets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FEW_CHANNELS = 16  # of the input; below


class Conv1x1(nn.Conv2d):
    """A 1x1 convolution, with ``nn.Conv2d``'s weights.

    Where a stride meets few channels on a CPU, the cells that it reads are taken out first.  oneDNN 3.12 does that in a
    workspace for the weight's gradient, and with channels innermost and fewer than 16 of them (8 without AVX-512)
    writes past its end: training was killed, or went on with overwritten memory (uxlfoundation/oneDNN, issue 6035).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, bias: bool = False) -> None:
        super().__init__(inputs, outputs, 1, stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W) -> (B, outputs, H/stride, W/stride)``, rounded up."""
        return self.convolve(x, self.weight, self.bias)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The same with another weight and bias in its own's place."""
        down, across = self.stride
        if down > 1 and self.in_channels < FEW_CHANNELS and x.device.type == "cpu" and torch.is_grad_enabled():
            return functional.conv2d(x[:, :, ::down, ::across], weight, bias)
        return functional.conv2d(x, weight, bias, self.stride)  # type: ignore[arg-type]
