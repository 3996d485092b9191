"""The losses; each names what it is divided by."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

MEASURED = "batch/"  # what a model gives under a name that begins so is told beside the losses, and not minimised


def logistic(logits: Tensor, label: Tensor) -> Tensor:
    """Binary logistic loss of anchors, over those with label 0 or 1 and divided by their number (or 1).

    Args:
        logits: ``(N,)``, or ``(N, K)`` whose K losses are summed.
        label: of the same shape: 1 object, 0 background, -1 not counted.  A row of ``(N, K)`` is counted where its
            first label is not -1.
    """
    each = functional.binary_cross_entropy_with_logits(logits.float(), label.clamp(min=0).float(), reduction="none")
    if each.ndim == 2:
        each, label = each.sum(1), label[:, 0]
    counted = label >= 0
    return (each * counted).sum() / counted.sum().clamp(min=1)


def smooth_l1(deltas: Tensor, wanted: Tensor, counted: Tensor, beta: float) -> Tensor:
    """Smooth L1 over ``(N, 4)`` deltas, over the rows counted and divided by four times their number (or 1).

    Args:
        counted: ``(N,)`` bool.
        beta: where the parabola turns into a line; ``1 / sigma**2`` in Fast R-CNN's code.
    """
    each = functional.smooth_l1_loss(deltas.float(), wanted.float(), beta=beta, reduction="none").mean(-1)
    return (each * counted).sum() / counted.sum().clamp(min=1)
