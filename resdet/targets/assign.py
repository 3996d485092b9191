"""From the boxes of a batch to what a few of its anchors should answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from resdet.boxes.overlap import pairwise_iou
from resdet.structures import Target, check_boxes
from resdet.targets.matching import match
from resdet.targets.sampling import sample


@dataclass(frozen=True)
class AnchorSample:
    """S anchors for each of B images."""

    index: Tensor  # (B, S) int64, into the anchors of the map
    label: Tensor  # (B, S) int64: 1 object, 0 background, -1 not used
    boxes: Tensor  # (B, S, 4) the box each should give; 0 where it is not an object


def pad_boxes(targets: Sequence[Target], device: torch.device) -> tuple[Tensor, Tensor]:
    """All images' boxes as ``(B, G, 4)``, zeros behind the last, and ``(B, G)`` bool: which are boxes.

    Those of other classes than the image's, and ignored ones, are as if they were not there: the output that learns is
    of the image's class.

    Raises:
        ValueError: as :func:`~resdet.structures.check_boxes`.
    """
    if not targets:
        return torch.zeros(0, 0, 4, device=device), torch.zeros(0, 0, dtype=torch.bool, device=device)
    every, labels, ignored = (torch.cat([getattr(t, n) for t in targets]) for n in ("boxes", "labels", "ignored"))
    image = torch.arange(len(targets)).repeat_interleave(torch.tensor([len(target.boxes) for target in targets]))
    own = (labels == torch.tensor([target.label for target in targets])[image]) & ~ignored
    counts = torch.bincount(image[own], minlength=len(targets))
    present = torch.arange(int(counts.max())) < counts[:, None]
    boxes = torch.zeros(*present.shape, 4)
    boxes[present] = every[own].to(boxes.dtype)
    check_boxes(boxes, "boxes to be learnt")
    return boxes.to(device, non_blocking=True), present.to(device, non_blocking=True)


def assign_anchors(
    anchors: Tensor, targets: Sequence[Target], count: int, positive: float, negative: float
) -> AnchorSample:
    """Match ``(P, 4)`` anchors with each image's boxes and sample ``count`` of them.

    An image without boxes gives background only.
    """
    boxes, present = pad_boxes(targets, anchors.device)
    index, label, overlap = match(pairwise_iou(anchors, boxes), present, positive, negative)
    chosen, taken = sample(label, overlap, count)
    if boxes.shape[1] == 0:
        return AnchorSample(chosen, taken, anchors.new_zeros(*chosen.shape, 4))
    which = index.gather(1, chosen)  # (B, S)
    wanted = boxes.gather(1, which[:, :, None].expand(-1, -1, 4))
    return AnchorSample(chosen, taken, wanted * (taken == 1)[:, :, None])
