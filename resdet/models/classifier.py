"""Image classification: one label an image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet.backbones import Backbone
from resdet.backbones.resnet import normalise
from resdet.losses import MEASURED
from resdet.structures import ImageBatch


class Classifier(nn.Module):
    """A backbone with its own classifier, trained with softmax cross entropy.

    Args:
        backbone: its state dict is torchvision's; this module adds only ``mean`` and ``std``, which are not saved.
        mean, std: RGB in 0 .. 255.
        label_smoothing: share of the target spread evenly over all classes.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: Backbone, mean: Sequence[float], std: Sequence[float], label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.label_smoothing = label_smoothing
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    def forward(self, batch: ImageBatch) -> dict[str, Tensor]:
        """``{"class": cross entropy}``, the mean over the batch, and the measured share of wrong answers in %."""
        logits = self.logits(batch.images)
        wrong = logits.detach().argmax(1) != batch.labels
        return {
            "class": functional.cross_entropy(logits, batch.labels, label_smoothing=self.label_smoothing),
            f"{MEASURED}top1_error": 100 * wrong.float().mean(),
        }

    def logits(self, images: Tensor) -> Tensor:
        """``(B, K)`` float32 from ``(B, 3, H, W)`` uint8 RGB."""
        return self.backbone(normalise(images, self.mean, self.std)).float()

    def classify(self, images: Tensor) -> Tensor:
        """``(B, K)`` class probabilities from ``(B, 3, H, W)`` uint8 RGB."""
        return self.logits(images).softmax(1)
