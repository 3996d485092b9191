"""The losses; each names what it is divided by."""

from __future__ import annotations

import torch
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


def sampled_logistic(logits: Tensor, label: Tensor) -> Tensor:
    """Binary logistic loss of ``(B, S)`` sampled anchors: the mean over each image's own, then over images.

    So a batch's loss is the same however the batch is split; where every image fills its sample it is the mean over
    all anchors, as in Faster R-CNN's code.  An image whose labels are all -1 has the loss 0.

    Args:
        label: ``(B, S)``: 1 object, 0 background, -1 not used.
    """
    each = functional.binary_cross_entropy_with_logits(logits.float(), label.clamp(min=0).float(), reduction="none")
    return _mean_of_images(each, label >= 0, label >= 0)


def sampled_softmax(logits: Tensor, label: Tensor) -> Tensor:
    """Cross entropy of ``(B, S, K)`` logits with ``(B, S)`` labels, -1 for not used; as :func:`sampled_logistic`."""
    each = functional.cross_entropy(logits.float().flatten(0, 1), label.flatten(), ignore_index=-1, reduction="none")
    return _mean_of_images(each.view_as(label), label >= 0, label >= 0)


def sampled_smooth_l1(deltas: Tensor, wanted: Tensor, is_object: Tensor, used: Tensor, beta: float) -> Tensor:
    """Smooth L1 of ``(B, S, 4)`` deltas, summed over the objects and their four numbers.

    It is divided by the number of all that an image uses, background too (Fast R-CNN's code), then averaged over
    images: an image with few objects counts for less.

    Args:
        is_object, used: ``(B, S)`` bool.
        beta: where the parabola turns into a line; ``1 / sigma**2`` in Fast R-CNN's code.
    """
    each = functional.smooth_l1_loss(deltas.float(), wanted.float(), beta=beta, reduction="none").sum(-1)
    return _mean_of_images(each, is_object, used)


def _mean_of_images(each: Tensor, counted: Tensor, used: Tensor) -> Tensor:
    """``(B, S)``: the sum over what is counted by the number of what is used (or 1), averaged over images."""
    return (torch.where(counted, each, 0).sum(1) / used.sum(1).clamp(min=1)).mean()
