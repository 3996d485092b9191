"""When two detectors have given the same answer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from resdet.boxes.overlap import pairwise_iou
from resdet.structures import Detections

PIXELS, SCORE = 0.05, 1e-3  # the most that a detection of one may differ from the other's
# of an answer in bfloat16, whose 8 bits move every score and box, and with them what suppresses what: the share of
# detections that must be there again, as the same class, by how much they may be moved and their scores differ
SHARE, IOU, NEAR_SCORE = 0.9, 0.7, 0.1


def same(found: Detections, expected: Detections) -> bool:
    """Whether each detection of one has its own in the other: class, box within 0.05 px, score within 0.001."""
    if len(found) != len(expected) or not len(expected):
        return False
    apart = (found.boxes[:, None] - expected.boxes).abs().amax(2)
    differs = (found.scores[:, None] - expected.scores).abs()
    pairs = (apart <= PIXELS) & (differs <= SCORE) & _one_class(found, expected)
    return bool(pairs.any(0).all() and pairs.any(1).all())


def near(found: Detections, expected: Detections) -> bool:
    """Whether nine of ten ``expected`` ones are there again: class, IoU of 0.7 or more, score within 0.1."""
    if not len(found) or not len(expected):
        return False
    differs = (found.scores[:, None] - expected.scores).abs()
    pairs = (pairwise_iou(found.boxes, expected.boxes) >= IOU) & (differs <= NEAR_SCORE) & _one_class(found, expected)
    return int(pairs.any(0).sum()) >= SHARE * len(expected)


def learn_alike(found: Sequence[Tensor], expected: Sequence[Tensor], loss: float, angle: float) -> bool:
    """Whether two training steps teach the same.

    Args:
        found, expected: the total loss, then gradients.
        loss: the most that one's loss may differ, as a share of the other's.
        angle: the most that the cosine between a gradient and the other's may be below 1.
    """
    (mine, *slopes), (theirs, *others) = found, expected
    if not (mine - theirs).abs() <= loss * theirs.abs():
        return False
    cosines = [torch.cosine_similarity(a.flatten(), b.flatten(), 0) for a, b in zip(slopes, others, strict=True)]
    return all(cosine.item() >= 1 - angle for cosine in cosines)


def _one_class(found: Detections, expected: Detections) -> Tensor:
    return found.labels[:, None] == expected.labels
