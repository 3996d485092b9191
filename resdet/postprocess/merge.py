"""One box out of many candidates."""

from __future__ import annotations

import torch
from torch import Tensor

from resdet.boxes.overlap import pairwise_iou


def best_box(scores: Tensor, boxes: Tensor, vote_iou: float | None) -> tuple[Tensor, Tensor]:
    """The candidate with the highest score, or the vote around it.

    Box voting (Gidaris & Komodakis 2015, Sec. 4.4; the paper's App. B): the answer is the mean, weighted by
    score, of all candidates that overlap the best one by ``vote_iou`` or more; its score stays.

    Args:
        scores: ``(..., P)``, not negative.
        boxes: ``(..., P, 4)``.
        vote_iou: None takes the best candidate as it is.

    Returns:
        boxes ``(..., 4)`` and scores ``(...,)``; of equal scores the first wins.
    """
    score, index = scores.max(-1)  # (...,)
    best = boxes.take_along_dim(index[..., None, None], -2)  # (..., 1, 4)
    if vote_iou is None:
        return best.squeeze(-2), score
    near = pairwise_iou(best, boxes).squeeze(-2) >= vote_iou  # (..., P)
    # the best one itself votes even where its score is 0 or its box empty
    weight = torch.where(near, scores, 0).scatter(-1, index[..., None], score[..., None].clamp(min=1e-12))
    return (weight[..., None] * boxes).sum(-2) / weight.sum(-1, keepdim=True), score
