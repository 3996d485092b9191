"""From the boxes of a batch to what a few of its anchors should answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from resdet.boxes.overlap import pairwise_iou
from resdet.structures import Target
from resdet.targets.matching import OBJECT, match
from resdet.targets.objects import pad_objects
from resdet.targets.sampling import sample


@dataclass(frozen=True)
class AnchorSample:
    """S anchors for each of B images."""

    index: Tensor  # (B, S) int64, into the anchors of the map
    label: Tensor  # (B, S) int64: 1 object, 0 background, -1 not used
    boxes: Tensor  # (B, S, 4) the box each should give; 0 where it is not an object


def assign_anchors(
    anchors: Tensor, targets: Sequence[Target], count: int, positive: float, negative: float
) -> AnchorSample:
    """Match ``(P, 4)`` anchors with each image's boxes of its own class and sample ``count`` of them.

    An image without such boxes gives background only.

    Raises:
        ValueError: as :func:`~resdet.targets.objects.pad_objects`.
    """
    objects = pad_objects(targets, anchors.device, own_class=True)
    index, label, overlap = match(pairwise_iou(anchors, objects.boxes), objects.present, positive, negative)
    chosen, taken = sample(label, overlap, count)
    which = index.gather(1, chosen)  # (B, S)
    wanted = objects.boxes.gather(1, which[:, :, None].expand(-1, -1, 4))
    return AnchorSample(chosen, taken, wanted.masked_fill((taken != OBJECT)[:, :, None], 0))
