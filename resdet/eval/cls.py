"""Classification: the share of images whose class is not among the ``k`` that score best."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resdet.eval.bootstrap import mean_interval


def true_class_ranks(scores: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before the true one, best first; of equal scores the lower label comes first.

    Args:
        scores: ``(B, K)`` logits or probabilities.
        labels: ``(B,)`` int64 in 0 .. K-1.

    Returns:
        ``(B,)`` int64: 0 where the true class is the first guess.

    Raises:
        FloatingPointError: a score is NaN: the network that gave it has diverged.
        ValueError: a label is not a class.
    """
    if scores.isnan().any():
        raise FloatingPointError(f"{int(scores.isnan().any(1).sum())} of {len(scores)} images have a score that is NaN")
    if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < scores.shape[1]):
        raise ValueError(f"labels must be 0 .. {scores.shape[1] - 1}, got {int(labels.min())} .. {int(labels.max())}")
    true_score = scores.gather(1, labels[:, None])  # (B, 1)
    lower_label = torch.arange(scores.shape[1], device=scores.device) < labels[:, None]
    return ((scores > true_score) | ((scores == true_score) & lower_label)).sum(1)


def guess_ranks(guesses: NDArray[np.int64], labels: Tensor) -> NDArray[np.int64]:
    """The place of the true class among an image's guesses, best first.

    Args:
        guesses: ``(N, k)`` labels, -1 for a missing guess.
        labels: ``(N,)`` int64, the true classes.

    Returns:
        ``(N,)`` int64; for a class that was not guessed, the first place that neither top-1 nor top-5 counts.
    """
    right = guesses == labels.numpy()[:, None]
    return np.where(right.any(1), right.argmax(1), max(5, guesses.shape[1]))


def cls_metrics(ranks: NDArray[np.int64], protocol: str) -> dict[str, object]:
    """Top-1 and top-5 error in percent with 95 % intervals, as ``eval_cls`` reports them.

    Args:
        ranks: ``(N,)`` of :func:`true_class_ranks`.
        protocol: what was shown to the network, such as ``1-crop``.

    Raises:
        ValueError: no images.
    """
    misses = 100.0 * np.stack((ranks >= 1, ranks >= 5), axis=1)  # (N, 2)
    names = ("top1_error", "top5_error")
    intervals = mean_interval(misses).T.tolist()
    errors = dict(zip(names, misses.mean(0).tolist(), strict=True))
    return {"images": len(ranks), **errors, "protocol": protocol, "ci95": dict(zip(names, intervals, strict=True))}
