"""Box refinement (App. B): a detector's own boxes are regions once more, and its answers there join the first ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from resdet.postprocess.detections import Regions

WAYS = ("top", "each")


def refined(
    answer: Callable[[list[Tensor]], list[Regions]], first: Sequence[Regions], way: str, score_threshold: float
) -> list[Regions]:
    """The first answers and those at the boxes that they regressed: 300 + 300, as the paper counts them.

    A regressed box is its class's own, and the paper does not say whose is pooled from.  ``"top"`` takes that of each
    region's most probable class.  ``"each"`` takes that of every class above ``score_threshold``, and only that
    class's answer there.

    Args:
        answer: what the detector says of boxes ``(P, 4)``, one tensor an image.
        first: what it said of its proposals.
    """
    chosen = [_regressed(*regions, way, score_threshold) for regions in first]
    again = answer([boxes for boxes, _ in chosen])
    joined = []
    for (probabilities, boxes), (new_probabilities, new_boxes), (_, counts) in zip(first, again, chosen, strict=True):
        probabilities = torch.cat((probabilities, new_probabilities * counts))
        joined.append((probabilities, torch.cat((boxes, new_boxes))))
    return joined


def _regressed(probabilities: Tensor, boxes: Tensor, way: str, score_threshold: float) -> tuple[Tensor, Tensor]:
    """The boxes to pool again from, ``(Q, 4)``, and which classes count there, ``(Q, K + 1)`` or ``(1, K + 1)``."""
    scores = probabilities[:, :-1]
    if way == "top":
        top = scores.argmax(1)
        return boxes[torch.arange(len(boxes), device=top.device), top], torch.ones_like(probabilities[:1])
    row, label = (scores > score_threshold).nonzero(as_tuple=True)
    counts = torch.nn.functional.one_hot(label, probabilities.shape[1])
    return boxes[row, label], counts
