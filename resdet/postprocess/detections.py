"""From what a detector says of each region to what is in each image: threshold, class-aware NMS, the best few."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from resdet.boxes.geometry import area
from resdet.devices import repeated
from resdet.ops import batched_nms
from resdet.postprocess.vote import vote
from resdet.structures import Detections

# of one image: probabilities (P, K + 1), background last, and boxes (P, K, 4), one for each class
Regions = tuple[Tensor, Tensor]


def best_detections(
    regions: Sequence[Regions],
    score_threshold: float = 0.05,
    nms_iou: float = 0.3,
    most: int = 100,
    vote_iou: float | None = None,
) -> list[Detections]:
    """What is in each image of a batch.  The defaults are py-faster-rcnn's, which the paper builds on.

    All classes of all images go through one suppression.  The host waits for the device three times, four with
    voting: for the number of candidates, for the suppression and its outcome, and for the number of votes.

    Args:
        regions: one an image.
        score_threshold: a class of a region takes part when its probability is above this.
        nms_iou: of two boxes of one class that overlap by more, the one that scores less goes.
        most: detections of an image, over all classes.
        vote_iou: what is kept is moved to the mean of the candidates of its class that overlap it by this or more,
            see :func:`resdet.postprocess.vote.vote`; None: it stays where it is.

    Returns:
        One an image, best first, in float32; boxes without an area, or with one that is not finite, are left out.
    """
    if not regions:
        return []
    boxes, scores, labels, images = _candidates(regions, score_threshold)
    groups = images * regions[0][1].shape[1] + labels
    kept = batched_nms(boxes, scores, groups, nms_iou, most)  # best first
    kept, counts = _first_of_each(kept, images, len(regions), most)
    moved = boxes[kept] if vote_iou is None else vote(boxes, scores, groups, kept, vote_iou)
    columns = (column.split(counts) for column in (moved, scores[kept], labels[kept]))
    return [Detections(*of_image) for of_image in zip(*columns, strict=True)]


def all_finite(regions: Sequence[Regions]) -> Tensor:
    """``(B,)`` bool: the images of which every probability and every box is finite; the others are told nothing true.

    :func:`best_detections` leaves out what is not, and a network that overflows would seem to have found nothing.
    """
    bad = [~torch.cat(column).isfinite().flatten(1).all(1) for column in zip(*regions, strict=True)]  # (R,)
    image = repeated(range(len(regions)), [len(boxes) for _, boxes in regions], bad[0].device, torch.int64)
    count = torch.zeros(len(regions), dtype=torch.float32, device=image.device)
    return count.index_add_(0, image, (bad[0] | bad[1]).float()) == 0


def _candidates(regions: Sequence[Regions], score_threshold: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every class of every region that is probable enough: boxes ``(M, 4)``, scores, labels and images ``(M,)``."""
    scores = torch.cat([probabilities[:, :-1] for probabilities, _ in regions]).float()  # (R, K)
    boxes = torch.cat([boxes for _, boxes in regions]).float()  # (R, K, 4)
    image = repeated(range(len(regions)), [len(boxes) for _, boxes in regions], scores.device, torch.int64)
    sides = area(boxes)
    row, label = ((scores > score_threshold) & (sides > 0) & sides.isfinite()).nonzero(as_tuple=True)
    return boxes[row, label], scores[row, label], label, image[row]


def _first_of_each(kept: Tensor, images: Tensor, number: int, most: int) -> tuple[Tensor, list[int]]:
    """The first ``most`` of each image, image by image, and how many of each that are."""
    kept = kept[images[kept].argsort(stable=True)]
    ends = torch.searchsorted(images[kept], torch.arange(number + 1, device=kept.device)).tolist()
    runs = [kept[start : min(end, start + most)] for start, end in pairwise(ends)]
    return torch.cat(runs), [len(run) for run in runs]
