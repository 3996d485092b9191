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
        boxes ``(..., 4)`` and scores ``(...,)``; of equal scores the first wins.  A score of NaN wins over all others,
        and its box is NaN too: no answer.
    """
    score, index = scores.max(-1)  # (...,)
    best = boxes.take_along_dim(index[..., None, None], -2)  # (..., 1, 4)
    if vote_iou is None:
        return best.squeeze(-2).where(~score.isnan()[..., None], torch.nan), score
    near = pairwise_iou(best, boxes).squeeze(-2) >= vote_iou  # (..., P)
    # the best one itself votes even where its score is 0 or its box empty
    weight = torch.where(near, scores, 0).scatter(-1, index[..., None], score[..., None].clamp(min=1e-12))
    return (weight[..., None] * boxes).sum(-2) / weight.sum(-1, keepdim=True), score


def greedy_merge(scores: Tensor, boxes: Tensor, match_iou: float, most: int = 32) -> tuple[Tensor, Tensor]:
    """The box that most of the score gathers in when the closest two are averaged again and again.

    OverFeat's merging (Sermanet et al. 2014, Sec. 4.3), as VGG's localization has it.  The distance of two boxes is
    ``1 - IoU`` plus that of their centres in mean diagonals: OverFeat adds the same two things in pixels and does not
    give its threshold.  Pairs nearer than ``1 - match_iou`` are merged; scores add up.

    Args:
        scores: ``(k, P)``, not negative.
        boxes: ``(k, P, 4)``.
        most: candidates of each row that take part, those of the highest scores; the rest is left out.

    Returns:
        boxes ``(k, 4)`` and their accumulated scores ``(k,)``; NaN where one of the scores is.
    """
    best = [_merged(s, b, 1 - match_iou, most) for s, b in zip(scores, boxes, strict=True)]
    return torch.stack([box for box, _ in best]), torch.stack([score for _, score in best])


def _merged(scores: Tensor, boxes: Tensor, nearest: float, most: int) -> tuple[Tensor, Tensor]:
    scores, index = scores.topk(min(most, len(scores)))
    boxes = boxes[index]
    while len(boxes) > 1:
        distance = _distance(boxes)
        pair = int(distance.argmin())
        i, j = sorted(divmod(pair, len(boxes)))
        if distance[i, j] >= nearest:
            break
        box, score = (boxes[i] + boxes[j]) / 2, scores[i] + scores[j]
        keep = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
        keep[j] = False
        boxes, scores = boxes.clone(), scores.clone()
        boxes[i], scores[i] = box, score
        boxes, scores = boxes[keep], scores[keep]
    return boxes[scores.argmax()].where(~scores.isnan().any(), torch.nan), scores.max()


def _distance(boxes: Tensor) -> Tensor:
    """``(N, N)``, symmetric; a box is infinitely far from itself."""
    centres, diagonals = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).norm(dim=1)
    apart = torch.cdist(centres, centres) / ((diagonals[:, None] + diagonals) / 2).clamp(min=1e-6)
    return (1 - pairwise_iou(boxes, boxes) + apart).fill_diagonal_(float("inf"))
