"""How a block's input joins its output: shortcut options A, B and C (Sec. 3.3), none at all, or gated."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet.backbones.folding import conv_norm
from resdet.convolution import Conv1x1

SHORTCUTS = ("A", "B", "C", "none", "gated")
# Srivastava et al. 2015 ("Highway Networks", Sec. 2.2) start between -1 and -3, so that x is carried at first.  Each
# block passes on sigmoid(3) = 95 % of x here; with -1 it is 73 %, of which 54 blocks leave nothing.
GATE_BIAS = -3.0


class PaddedIdentity(nn.Module):
    """Option A where the shape changes: every ``stride``-th pixel of x, then ``extra`` channels of zeros.

    It learns nothing.  The paper does not say where the zeros go; they follow x's own channels here.
    """

    def __init__(self, stride: int, extra: int) -> None:
        super().__init__()
        self.stride, self.extra = stride, extra

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W) -> (B, C + extra, ceil(H/stride), ceil(W/stride))``, as a padded 3x3 convolution's map."""
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, extra={self.extra}"


class Projection(nn.Sequential):
    """A 1x1 convolution with batch norm."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(Conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W) -> (B, outputs, ceil(H/stride), ceil(W/stride))``."""
        conv, norm = self
        return conv_norm(x, conv, norm)  # type: ignore[arg-type]


def shortcut_path(option: str, inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """What x passes through before it joins; None: it joins as it is, or, in a plain net, not at all.

    Args:
        option: ``"A"`` pads with zeros and ``"B"`` projects where the shape changes, ``"C"`` projects everywhere;
            ``"gated"`` carries what B does, since a gate needs the two in one shape.
    """
    same_shape = stride == 1 and inputs == outputs
    if option == "none" or (same_shape and option != "C"):
        return None
    return PaddedIdentity(stride, outputs - inputs) if option == "A" else Projection(inputs, outputs, stride)


def transform_gate(option: str, inputs: int, outputs: int, stride: int) -> Conv1x1 | None:
    """The 1x1 convolution, with a bias, whose sigmoid is T(x) of a gated shortcut; None for every other option."""
    if option != "gated":
        return None
    gate = Conv1x1(inputs, outputs, stride, bias=True)
    nn.init.constant_(gate.bias, GATE_BIAS)  # type: ignore[arg-type]  # it has one
    return gate


def join(y: Tensor, x: Tensor, option: str, path: nn.Module | None, gate: nn.Module | None) -> Tensor:
    """The block's sum before its last ReLU, from ``y`` = F(x), which may be overwritten.

    ``y`` alone in a plain net; ``y * T(x) + x * (1 - T(x))`` with a gate, for each pixel and channel (Srivastava et
    al. 2015, and the "exclusive gating" of He et al. 2016, Sec. 3.1); else ``y + x`` (Eqs. 1 and 2).
    """
    if option == "none":
        return y
    carried = x if path is None else path(x)
    if gate is not None:
        open_share = torch.sigmoid(gate(x))
        return y * open_share + carried * (1 - open_share)
    y += carried
    return y
