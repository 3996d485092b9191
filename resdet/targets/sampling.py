"""A few candidates an image to learn from (App. C: 8 anchors, half of them objects; Faster R-CNN: 256, and 128)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.return_types import topk as TopK

from resdet.targets.matching import IGNORED, OBJECT


def sample(label: Tensor, overlap: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Draw ``count`` anchors an image, up to half of them objects, the rest background.

    Background fills up where objects are few; where background runs out too, the anchors that overlap least
    take its place (a choice: the paper does not say).  A map with fewer anchors leaves slots over.

    Args:
        label: ``(B, P)`` in {1, 0, -1} from :func:`~resdet.targets.matching.match`.
        overlap: ``(B, P)`` with the best box.

    Returns:
        index ``(B, count)`` int64 into the anchors, and what each is taken for, ``(B, count)``: 1, 0, or -1 for a
        slot left over (its index is 0).
    """
    anchors = label.shape[1]
    is_object = label == OBJECT
    chance = torch.rand(label.shape, device=label.device)
    objects = chance.masked_fill(~is_object, -1).topk(min(count // 2, anchors), 1)  # (B, count / 2)
    # background first, in random order; then what is neither, by its overlap; objects never
    rank = torch.where(label == 0, 1 + chance, 1 - overlap).masked_fill(is_object, -1)
    others = rank.topk(min(count, anchors), 1)  # (B, count)

    return _arrange(objects, others, count)


def draw(is_object: Tensor, is_background: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Draw ``count`` of P candidates an image at random, at most a ``share`` of them objects, the rest background.

    Background fills up where objects are few; where background runs out slots are left over.

    Args:
        is_object, is_background: ``(B, P)`` bool; what is neither is never drawn.

    Returns:
        As :func:`sample`.
    """
    candidates = is_object.shape[1]
    chance = torch.rand(is_object.shape, device=is_object.device)
    objects = chance.masked_fill(~is_object, -1).topk(min(int(count * share), candidates), 1)
    others = chance.masked_fill(~is_background, -1).topk(min(count, candidates), 1)
    return _arrange(objects, others, count)


def _arrange(objects: TopK, others: TopK, count: int) -> tuple[Tensor, Tensor]:
    """The first ``count`` of what was drawn, objects first; what has a rank below 0 was not drawn."""
    index = torch.cat((objects.indices, others.indices), 1)
    taken = torch.cat((torch.ones_like(objects.indices), torch.zeros_like(others.indices)), 1)
    taken[torch.cat((objects.values, others.values), 1) < 0] = IGNORED
    # drawn slots to the front, in the order they have (objects first), and `count` of them are kept
    order = (taken == IGNORED).to(torch.int8).argsort(dim=1, stable=True)[:, :count]
    index, taken = index.gather(1, order), taken.gather(1, order)
    missing = count - index.shape[1]
    if missing > 0:
        index = torch.nn.functional.pad(index, (0, missing))
        taken = torch.nn.functional.pad(taken, (0, missing), value=IGNORED)
    return index.masked_fill(taken == IGNORED, 0), taken
