"""What the RPN's anchors should say (Faster R-CNN, Sec. 3.1.2 and 3.1.3)."""

from __future__ import annotations

from torch import Tensor

from resdet.boxes.overlap import pairwise_iou
from resdet.targets.assign import AnchorSample
from resdet.targets.matching import BACKGROUND, IGNORED, OBJECT, match
from resdet.targets.objects import Objects
from resdet.targets.sampling import draw


def assign_rpn(
    anchors: Tensor,
    usable: Tensor,
    objects: Objects,
    *,
    count: int,
    share: float,
    positive: float,
    negative: float,
) -> AnchorSample:
    """Match the anchors of a map with each image's objects and draw ``count`` of them.

    Args:
        anchors: ``(P, 4)``, or ``(B, P, 4)`` where they differ from image to image.
        usable: ``(B, P)`` bool; the others are not there: they take no box from an anchor that overlaps it less.
        share: the largest one of objects among what is drawn.
        positive, negative: see :func:`~resdet.targets.matching.match`.
    """
    overlap = pairwise_iou(anchors, objects.boxes).masked_fill(~usable[:, :, None], 0.0)  # (B, P, G)
    which, label, _ = match(overlap, objects.present, positive, negative)
    label = label.masked_fill((label == BACKGROUND) & objects.covers(anchors), IGNORED)
    label = label.masked_fill(~usable, IGNORED)
    index, taken = draw(label == OBJECT, label == BACKGROUND, count, share)
    wanted = objects.boxes.gather(1, which.gather(1, index)[:, :, None].expand(-1, -1, 4))
    return AnchorSample(index, taken, wanted * (taken == OBJECT)[:, :, None])
