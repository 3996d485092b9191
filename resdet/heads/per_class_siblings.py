"""R-CNN's two sibling fully connected layers for localization (App. C): for a crop K logistic outputs and K boxes.

Training reads the one class of each crop's image, testing the few that were guessed: their rows are taken out of the
weights.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from resdet.heads.shared_gradients import shared_over_classes
from resdet.precision import without_autocast


class PerClassSiblings(nn.Module):
    """Output ``c`` of ``cls`` is class c's score, outputs ``4 c ...`` of ``reg`` are its deltas.

    N(0, 0.01) and N(0, 0.001), as Fast R-CNN draws them.

    Args:
        channels: C, numbers that describe a crop.
        classes: K.
        share_classes: learn a part shared by all classes plus a part for each, see :mod:`.shared_gradients`.
    """

    def __init__(self, channels: int, classes: int, *, share_classes: bool = False) -> None:
        super().__init__()
        self.classes, self.share_classes = classes, share_classes
        self.cls, self.reg = nn.Linear(channels, classes), nn.Linear(channels, classes * 4)
        for layer, deviation in ((self.cls, 0.01), (self.reg, 0.001)):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)

    def all_classes(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """The plain layers: ``(R, C)`` -> logits ``(R, K)`` and deltas ``(R, K, 4)``, float32."""
        score, score_bias, box, box_bias = self._learnt()
        with without_autocast(vectors):
            vectors = vectors.to(score.dtype)
            deltas = functional.linear(vectors, box, box_bias).unflatten(1, (self.classes, 4))
            return functional.linear(vectors, score, score_bias), deltas

    def of_class(self, vectors: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """One class a crop: ``all_classes`` at ``[r, classes[r]]``.

        Args:
            classes: ``(R,)`` int64.

        Returns:
            float32 logits ``(R,)`` and deltas ``(R, 4)``.
        """
        vectors = vectors.to(self.cls.weight.dtype)
        score, score_bias, box, box_bias = self._rows(classes)
        with without_autocast(vectors):
            logits = (score * vectors).sum(1) + score_bias
            return logits, (box @ vectors[:, :, None])[:, :, 0] + box_bias

    def of_classes(self, vectors: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """The same k classes of every crop: ``all_classes`` at ``[:, classes]``.

        Args:
            classes: ``(k,)`` int64.

        Returns:
            float32 logits ``(R, k)`` and deltas ``(R, k, 4)``.
        """
        vectors = vectors.to(self.cls.weight.dtype)
        score, score_bias, box, box_bias = self._rows(classes)
        with without_autocast(vectors):
            deltas = (vectors @ box.flatten(0, 1).T).unflatten(1, (len(classes), 4))
            return vectors @ score.T + score_bias, deltas + box_bias

    def _rows(self, classes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights and biases ``(n, C), (n,), (n, 4, C), (n, 4)``: as embeddings, whose gradient sums without a race."""
        score, score_bias, box, box_bias = (each.view(self.classes, -1) for each in self._learnt())
        box_rows = functional.embedding(classes, box).unflatten(1, (4, -1))
        score_bias = functional.embedding(classes, score_bias)[:, 0]
        return functional.embedding(classes, score), score_bias, box_rows, functional.embedding(classes, box_bias)

    def _learnt(self) -> list[Tensor]:
        """Weight and bias of ``cls``, and of ``reg``, as they learn."""
        own = [self.cls.weight, self.cls.bias, self.reg.weight, self.reg.bias]
        return [shared_over_classes(each, self.classes) for each in own] if self.share_classes else own
