"""The per-class RPN of localization (App. C): for every anchor K logistic outputs and K boxes.

The two sibling 1x1 convolutions have A*K and A*4*K output channels; channel ``a * K + c`` of the first is the
score of class c at anchor a, channels ``(a * K + c) * 4 ...`` of the second its four deltas.  Their full output
is never needed: training reads a few anchors and the true class, testing the few classes that the classifier
predicts.  ``sampled`` and ``of_classes`` compute just those, by slicing the weights; ``all_classes`` is the plain
convolution that they are held to.  All run in float32 under autocast too: one box is chosen by its score, and scores of
8 bits tie.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet.convolution import Conv3x3
from resdet.heads.shared_gradients import shared_over_classes
from resdet.precision import without_autocast


class PerClassRPN(nn.Module):
    """3x3 neck with ReLU, then the siblings; N(0, 0.01) throughout (Faster R-CNN, Sec. 3.1.3).

    Args:
        channels: of the feature map.
        neck: channels between the neck and the siblings.
        anchors: A, for each position.
        classes: K.
        share_classes: learn each sibling as a part shared by all classes plus a part for each, see
            :mod:`resdet.heads.shared_gradients`.
    """

    def __init__(self, channels: int, neck: int, anchors: int, classes: int, *, share_classes: bool = False) -> None:
        super().__init__()
        self.anchors, self.classes, self.share_classes = anchors, classes, share_classes
        self.neck = Conv3x3(channels, neck)
        self.cls = nn.Conv2d(neck, anchors * classes, 1)
        self.reg = nn.Conv2d(neck, anchors * classes * 4, 1)
        for conv in (self.neck, self.cls, self.reg):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)

    def forward(self, feature: Tensor) -> Tensor:
        """``(B, C, h, w)`` map -> ``(B, neck, h, w)`` hidden map that the siblings read."""
        return functional.relu(self.neck(feature))

    def all_classes(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Every anchor and class: logits ``(B, P, K)`` and deltas ``(B, P, K, 4)``, P = h * w * A."""
        batch = len(hidden)
        score, score_bias, box, box_bias = self._siblings()
        with without_autocast(hidden):
            hidden = hidden.to(score.dtype)
            logits, deltas = functional.conv2d(hidden, score, score_bias), functional.conv2d(hidden, box, box_bias)
        logits = logits.permute(0, 2, 3, 1).reshape(batch, -1, self.classes)
        deltas = deltas.permute(0, 2, 3, 1).reshape(batch, -1, self.classes, 4)
        return logits, deltas

    def sampled(self, hidden: Tensor, index: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """One class an image at S sampled anchors: ``all_classes`` at ``[b, index[b], classes[b]]``.

        Args:
            index: ``(B, S)`` int64 in 0 .. P-1.
            classes: ``(B,)`` int64.

        Returns:
            float32 logits ``(B, S)`` and deltas ``(B, S, 4)``.
        """
        cells, anchor = self._cells(hidden, index)  # (B, S, neck), (B, S)
        row = anchor * self.classes + classes[:, None]  # (B, S)
        score, score_bias, box, box_bias = self._siblings()
        weight = _rows(box.view(-1, 4 * cells.shape[-1]), row).unflatten(-1, (4, -1))  # (B, S, 4, neck)
        with without_autocast(hidden):
            logits = torch.einsum("bsc,bsc->bs", cells, _rows(score, row)) + score_bias[row]
            deltas = torch.einsum("bsc,bsjc->bsj", cells, weight) + box_bias.view(-1, 4)[row]
        return logits, deltas

    def sampled_logits(self, hidden: Tensor, index: Tensor) -> Tensor:
        """All K classes at S sampled anchors: float32 ``(B, S, K)``, ``all_classes`` at ``[b, index[b]]``."""
        cells, anchor = self._cells(hidden, index)
        score, score_bias, _, _ = self._siblings()
        weight = score.view(self.anchors, self.classes, -1).float()
        bias = score_bias.view(self.anchors, self.classes).float()
        logits = cells.new_zeros(*index.shape, self.classes)
        with without_autocast(hidden):
            for a in range(self.anchors):  # gathering K rows a sample would copy A * K * neck numbers for each
                here = anchor == a
                logits[here] = cells[here] @ weight[a].T + bias[a]
        return logits

    def of_classes(self, hidden: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """k classes an image at every anchor: ``all_classes`` at ``[b, :, classes[b]]``.

        Args:
            classes: ``(B, k)`` int64.

        Returns:
            float32 logits ``(B, k, P)`` and deltas ``(B, k, P, 4)``.
        """
        batch, k = classes.shape
        positions = hidden.flatten(2).float()  # (B, neck, h * w)
        neck = positions.shape[1]
        row = torch.arange(self.anchors, device=classes.device) * self.classes + classes[:, :, None]  # (B, k, A)
        score, score_bias, box, box_bias = self._siblings()
        scoring = score.view(-1, neck)[row].float()  # (B, k, A, neck)
        moving = box.view(-1, 4, neck)[row].float()  # (B, k, A, 4, neck)
        bias = box_bias.view(-1, 4)[row].flatten(1)[:, :, None]
        with without_autocast(hidden):
            logits = scoring.flatten(1, 2) @ positions + score_bias[row].flatten(1)[:, :, None]  # (B, k * A, h * w)
            deltas = moving.flatten(1, 3) @ positions + bias  # (B, k * A * 4, h * w)
        logits = logits.view(batch, k, self.anchors, -1).transpose(2, 3).flatten(2)
        deltas = deltas.view(batch, k, self.anchors, 4, -1).permute(0, 1, 4, 2, 3).flatten(2, 3)
        return logits, deltas

    def _cells(self, hidden: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """The hidden vectors ``(B, S, neck)`` under sampled anchors, float32, and which of the A each is."""
        position, anchor = index // self.anchors, index % self.anchors
        rows = torch.arange(len(hidden), device=hidden.device)[:, None]
        return hidden.flatten(2).transpose(1, 2)[rows, position].float(), anchor

    def _siblings(self) -> list[Tensor]:
        """Weight and bias of ``cls``, and of ``reg``, as they learn."""
        own = [self.cls.weight, self.cls.bias, self.reg.weight, self.reg.bias]
        return [shared_over_classes(each, self.classes, self.anchors) for each in own] if self.share_classes else own


def _rows(weight: Tensor, index: Tensor) -> Tensor:
    """Rows of a weight: as an embedding, whose gradient is summed without a race."""
    return functional.embedding(index, weight.view(weight.shape[0], -1)).float()
