"""What training watches on its validation set: a classifier's answers, and the losses of any model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from resdet.eval.cls import true_class_ranks
from resdet.inference.cls import most_probable
from resdet.models.classifier import Classifier
from resdet.models.pcr import AnyLocalizer
from resdet.precision import autocast
from resdet.structures import ImageBatch


@dataclass(frozen=True)
class ClassAnswers:
    """The classifier's answers for N images."""

    labels: Tensor  # (N, k) int64: the k most probable classes, best first; k is 5, or K where K is less
    scores: Tensor  # (N, k) float32 probabilities
    losses: Tensor  # (N,) float32: -log probability of the true class
    ranks: Tensor  # (N,) int64: how many classes came before the true one


@torch.inference_mode()
def classify_all(
    model: Classifier | AnyLocalizer, batches: Iterable[ImageBatch], device: torch.device, precision: str = "fp32"
) -> ClassAnswers:
    """Classify every image of ``batches``, in their order; an image without a label counts as of class 0."""
    model.eval()
    parts = []
    for batch in batches:
        with autocast(device, precision):
            log_probabilities = model.logits(batch.to(device).images).log_softmax(1).cpu()
        labels = batch.labels.clamp(min=0)
        best, highest = most_probable(log_probabilities)
        losses = -log_probabilities.gather(1, labels[:, None])[:, 0]
        parts.append((best, highest.exp(), losses, true_class_ranks(log_probabilities, labels)))
    return ClassAnswers(*(torch.cat(column) for column in zip(*parts, strict=True)))


@torch.inference_mode()
def mean_losses(
    model: torch.nn.Module, batches: Iterable[ImageBatch], device: torch.device, precision: str = "fp32"
) -> dict[str, float]:
    """A model's training losses over data that it does not learn from, averaged over images.

    What they sample is the same each time; the generators go on as if nothing had been drawn.
    """
    model.eval()
    sums: dict[str, float] = {}
    images = 0
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        for batch in batches:
            with autocast(device, precision):
                losses = model(batch.to(device))
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + loss.item() * len(batch)
            images += len(batch)
    return {name: value / max(images, 1) for name, value in sums.items()}
