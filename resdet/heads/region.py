"""What each region is, and where for every class: the two sibling layers behind conv5 (App. A)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from resdet.precision import without_autocast


class RegionHead(nn.Module):
    """A softmax over K classes and background, which is the last, and a box for each class.

    conv5 is not here: it stays in the backbone, with whose weights it is loaded.

    Args:
        channels: of a region's vector: conv5's, averaged over its positions.
        classes: K.
        context: each region's vector is followed by the whole image's (App. B): twice as many inputs.
        unused: outputs after background's that stand for no class and count as background: torchvision's COCO
            detectors have ten, for the category ids that COCO left out.
    """

    def __init__(self, channels: int, classes: int, *, context: bool = False, unused: int = 0) -> None:
        super().__init__()
        inputs = 2 * channels if context else channels
        self.classes, self.context, self.unused = classes, context, unused
        self.cls = nn.Linear(inputs, classes + 1 + unused)
        self.reg = nn.Linear(inputs, classes * 4)
        for layer, deviation in ((self.cls, 0.01), (self.reg, 0.001)):  # Faster R-CNN's code
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """``(R, C)`` -> logits ``(R, K + 1)`` and deltas ``(R, K, 4)``, float32, under autocast too."""
        with without_autocast(vectors):
            vectors = vectors.to(self.cls.weight.dtype)
            logits, deltas = self.cls(vectors), self.reg(vectors)
        if self.unused:  # after the softmax this is the sum of their probabilities
            joined = logits[:, self.classes :].logsumexp(1, keepdim=True)
            logits = torch.cat((logits[:, : self.classes], joined), 1)
        return logits, deltas.unflatten(1, (self.classes, 4))
