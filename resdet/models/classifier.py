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
        mean, std: RGB in 0 .. 255; or ``(3, h, w)`` float32, a mean for every pixel, which is saved with the weights.
        label_smoothing: share of the target spread evenly over all classes.
        mixup: in training mode, images are mixed in pairs (:func:`mix`) with this alpha; 0: they are not.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: Backbone,
        mean: Sequence[float] | Tensor,
        std: Sequence[float],
        label_smoothing: float = 0.0,
        mixup: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.label_smoothing, self.mixup = label_smoothing, mixup
        pixelwise = isinstance(mean, Tensor)
        self.register_buffer("mean", mean if isinstance(mean, Tensor) else torch.tensor(mean), persistent=pixelwise)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    def forward(self, batch: ImageBatch) -> dict[str, Tensor]:
        """``{"class": cross entropy}``, the mean over the batch, and the measured share of wrong answers in %.

        A mixed image's loss is its two labels' losses, mixed alike, which is the cross entropy with the mixed target;
        its answer is right where it is the label of the image that weighs more.

        Raises:
            ValueError: as :meth:`ImageBatch.labels_of` and :attr:`ImageBatch.of_one_size`.
        """
        labels = batch.labels_of(self.backbone.fc.out_features)
        images = normalise(batch.of_one_size, self.mean, self.std)
        if not (self.training and self.mixup):
            logits = self.backbone(images).float()
            return self._judged(self._loss(logits, labels), logits, labels)
        images, partner, share = mix(images, self.mixup)
        logits = self.backbone(images).float()
        others = labels[partner]
        loss = share * self._loss(logits, labels) + (1 - share) * self._loss(logits, others)
        return self._judged(loss, logits, labels if share >= 0.5 else others)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def _judged(self, loss: Tensor, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        wrong = logits.detach().argmax(1) != labels
        return {"class": loss, f"{MEASURED}top1_error": 100 * wrong.float().mean()}

    def logits(self, images: Tensor) -> Tensor:
        """``(B, K)`` float32 from ``(B, 3, H, W)`` uint8 RGB."""
        return self.backbone(normalise(images, self.mean, self.std)).float()

    def classify(self, images: Tensor) -> Tensor:
        """``(B, K)`` class probabilities from ``(B, 3, H, W)`` uint8 RGB."""
        return self.logits(images).softmax(1)


def mix(images: Tensor, alpha: float) -> tuple[Tensor, Tensor, float]:
    """Every image of a batch mixed with another of it (Zhang et al. 2018, "mixup").

    What is drawn comes from torch's generators, which the training loop seeds by the step's number.

    Args:
        images: ``(B, 3, H, W)`` float.
        alpha: one share for the whole batch is drawn from Beta(alpha, alpha), as in the authors' code.

    Returns:
        ``share * images + (1 - share) * images[partner]``, partner ``(B,)`` and share, in [0, 1].
    """
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    partner = torch.randperm(len(images), device=images.device)
    return images * share + images[partner] * (1 - share), partner, share
