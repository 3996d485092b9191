"""The losses; each names what it is divided by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, distributed
from torch.nn import functional

MEASURED = "batch/"  # what a model gives under a name that begins so is told beside the losses, and not minimised


# processes, and what this one's losses will be multiplied by; found as autocast is, since losses are called deep in
# models, which know of no processes
_SHARE = ContextVar("share", default=(1, 1.0))


@contextmanager
def counted_over(processes: int, weight: float = 1.0) -> Iterator[None]:
    """A context in which a mean over what counts, anchors for one, is over what counts in all processes together.

    The gradients that processes average are then those of one process with all images, also where few anchors count
    in this one.  Every process must compute the same losses.

    Args:
        weight: the factor by which the caller will multiply this process's losses, because processes have different
            numbers of images.  These means are over all processes already, so they are divided by it.
    """
    outside = _SHARE.set((processes, weight))
    try:
        yield
    finally:
        _SHARE.reset(outside)


def _number(counted: Tensor) -> Tensor:
    """The number to divide a sum by: how many count, at least 1; in :func:`counted_over` by all processes' numbers."""
    (processes, weight), count = _SHARE.get(), counted.sum()
    if processes == 1:
        return count.clamp(min=1)
    count = count.float()
    distributed.all_reduce(count)
    return count.clamp(min=1) * (weight / processes)


def shares_of_parts(counts: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
    """What the losses of a batch's parts are to be multiplied by, so that their sums are the whole batch's losses.

    Within :func:`counted_over`, what counts in the part of every process is counted.

    Args:
        counts: how many count in each part, by the name of the loss that is divided by their number.
    """
    names = list(counts[0])
    numbers = torch.stack([torch.stack([part[name] for name in names]) for part in counts]).float()  # (parts, losses)
    if _SHARE.get()[0] > 1:
        distributed.all_reduce(numbers)
    shares = numbers.clamp(min=1) / numbers.sum(0).clamp(min=1)
    return [dict(zip(names, part, strict=True)) for part in shares]


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
    return (each * counted).sum() / _number(counted)


def smooth_l1(deltas: Tensor, wanted: Tensor, counted: Tensor, beta: float) -> Tensor:
    """Smooth L1 over ``(N, 4)`` deltas, over the rows counted and divided by four times their number (or 1).

    Args:
        counted: ``(N,)`` bool.
        beta: where the parabola turns into a line; ``1 / sigma**2`` in Fast R-CNN's code.
    """
    each = functional.smooth_l1_loss(deltas.float(), wanted.float(), beta=beta, reduction="none").mean(-1)
    return (each * counted).sum() / _number(counted)


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
