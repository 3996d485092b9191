"""Whether two detectors agree: on detections, on regions, and on a training step's loss and gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from resdet.boxes.geometry import area
from resdet.postprocess.detections import Regions
from resdet.structures import Detections

PIXELS, SCORE = 0.05, 1e-3  # the most that a detection of one may differ from the other's
# of regions in bfloat16, whose 8 bits move every score and box: the share that must agree, how far their probabilities
# may differ, and how much their boxes must overlap
SHARE, NEAR_SCORE, IOU = 0.95, 0.05, 0.9
SEEN = 0.05  # the probability from which a class of a region counts at all


def same(found: Detections, expected: Detections) -> bool:
    """Whether each detection of one has its own in the other: class, box within 0.05 px, score within 0.001."""
    if len(found) != len(expected) or not len(expected):
        return False
    apart = (found.boxes[:, None] - expected.boxes).abs().amax(2)
    differs = (found.scores[:, None] - expected.scores).abs()
    pairs = (apart <= PIXELS) & (differs <= SCORE)
    pairs &= found.labels[:, None] == expected.labels
    return bool(pairs.any(0).all() and pairs.any(1).all())


def near(found: Regions, expected: Regions) -> bool:
    """Whether the same proposals are judged alike: of the classes that either gives a probability above 0.05,
    95 of 100 have one within 0.05 of the other's, and a box that overlaps the other's by 0.9.

    Proposals are given, not each one's own: where weights are drawn at random thousands of anchors score nearly alike,
    and the least rounding puts others first.
    """
    counts = (torch.maximum(found[0], expected[0]) > SEEN)[:, :-1]
    mine, theirs = (boxes[counts] for _, boxes in (found, expected))
    corner, other = torch.maximum(mine[:, :2], theirs[:, :2]), torch.minimum(mine[:, 2:], theirs[:, 2:])
    shared = (other - corner).clamp(min=0).prod(1)
    overlap = shared / (area(mine) + area(theirs) - shared).clamp(min=1e-6)
    differs = (found[0] - expected[0]).abs()[:, :-1][counts]
    return int(((overlap >= IOU) & (differs <= NEAR_SCORE)).sum()) >= SHARE * max(1, len(mine))


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
