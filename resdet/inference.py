"""Around any model: a whole data set through it, in crops or at several scales."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from resdet.engine.train import autocast
from resdet.models.classifier import Classifier
from resdet.structures import ImageBatch


@dataclass(frozen=True)
class ClassAnswers:
    """The classifier's answers for N images."""

    labels: Tensor  # (N, k) int64: the k most probable classes, best first; k is 5, or K where K is less
    scores: Tensor  # (N, k) float32 probabilities
    losses: Tensor  # (N,) float32: -log probability of the true class


@torch.inference_mode()
def classify_all(
    model: Classifier, batches: Iterable[ImageBatch], device: torch.device, precision: str = "fp32"
) -> ClassAnswers:
    """Classify every image of ``batches``, in their order."""
    model.eval()
    parts = []
    for batch in batches:
        moved = batch.to(device)
        with autocast(device, precision):
            log_probabilities = model.logits(moved.images).log_softmax(1)
        top = log_probabilities.topk(min(5, log_probabilities.shape[1]), dim=1)
        losses = -log_probabilities.gather(1, moved.labels.clamp(min=0)[:, None])[:, 0]
        parts.append((top.indices.cpu(), top.values.exp().cpu(), losses.cpu()))
    return ClassAnswers(*(torch.cat(column) for column in zip(*parts, strict=True)))
