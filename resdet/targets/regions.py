"""What regions should say: which proposals are learnt from, and as what (Fast R-CNN, Sec. 2.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from resdet.boxes.overlap import pairwise_iou
from resdet.targets.matching import IGNORED, OBJECT
from resdet.targets.objects import Objects
from resdet.targets.sampling import draw


@dataclass(frozen=True)
class RegionSample:
    """S regions for each of B images."""

    boxes: Tensor  # (B, S, 4) where to look; zeros where not used
    label: Tensor  # (B, S) int64: a class, K for background, -1 for a slot that is not used
    wanted: Tensor  # (B, S, 4) the box each should give; 0 where it is no object


def judge_regions(
    boxes: Tensor, present: Tensor, objects: Objects, foreground: float, background: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What each proposal may be learnt as; arguments as :func:`sample_regions`.

    Returns:
        the proposals with the objects' own boxes behind them, as py-faster-rcnn has them, ``(B, N + G, 4)``; which are
        objects and which background, ``(B, N + G)`` bool; and each one's best object ``(B, N + G)`` int64.
    """
    boxes, present = torch.cat((boxes, objects.boxes), 1), torch.cat((present, objects.present), 1)
    overlap = pairwise_iou(boxes, objects.boxes).masked_fill(~objects.present[:, None], 0.0)  # (B, N + G, G)
    best, which = overlap.max(2)
    is_object = present & (best >= foreground)
    low, high = background
    is_background = present & (best >= low) & (best < high) & ~is_object & ~objects.covers(boxes)
    return boxes, is_object, is_background, which


def sample_regions(
    boxes: Tensor,
    present: Tensor,
    objects: Objects,
    *,
    classes: int,
    count: int,
    share: float,
    foreground: float,
    background: tuple[float, float],
) -> RegionSample:
    """Draw ``count`` regions an image from its proposals and its objects' own boxes.

    A region is an object when it overlaps one by ``foreground`` or more, background when its largest overlap is in
    ``background``, from the first to below the second, and it does not lie in something ignored.

    Args:
        boxes: ``(B, N, 4)`` proposals.
        present: ``(B, N)`` bool: which are no padding.
        classes: K.
        share: the largest one of objects among what is drawn.
    """
    boxes, is_object, is_background, which = judge_regions(boxes, present, objects, foreground, background)
    index, taken = draw(is_object, is_background, count, share)
    which = which.gather(1, index)
    label = objects.labels.gather(1, which)
    label = torch.where(taken == OBJECT, label, classes).masked_fill(taken == IGNORED, IGNORED)
    chosen = boxes.gather(1, _rows(index)) * (taken != IGNORED)[:, :, None]
    wanted = objects.boxes.gather(1, _rows(which)) * (taken == OBJECT)[:, :, None]
    return RegionSample(chosen, label, wanted)


def _rows(index: Tensor) -> Tensor:
    """``(B, S)`` -> ``(B, S, 4)``: a box for each."""
    return index[:, :, None].expand(-1, -1, 4)
