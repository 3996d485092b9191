"""The objects of a batch side by side: what detection's anchors and regions are matched with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from resdet.boxes.overlap import pairwise_cover
from resdet.structures import Target

COVERED = 0.5  # of a box that lies in what is neither learnt nor counted: it is not background then


@dataclass(frozen=True)
class Objects:
    """The boxes of B images, at most G an image, zeros behind the last; G is 1 at least."""

    boxes: Tensor  # (B, G, 4) float32
    labels: Tensor  # (B, G) int64
    present: Tensor  # (B, G) bool: to be learnt
    ignored: Tensor  # (B, G) bool: neither an object nor background

    def covers(self, boxes: Tensor) -> Tensor:
        """``(B, P)`` bool: which of ``(B, P, 4)`` or ``(P, 4)`` boxes lie in something ignored with half their area."""
        share = pairwise_cover(boxes, self.boxes)  # (B, P, G)
        return ((share >= COVERED) & self.ignored[:, None]).any(-1)


def pad_objects(targets: Sequence[Target], device: torch.device) -> Objects:
    """The targets of a batch on ``device``."""
    most = max((len(t.boxes) for t in targets), default=0)
    shape = (len(targets), max(most, 1))
    boxes, labels = torch.zeros(*shape, 4), torch.zeros(shape, dtype=torch.int64)
    present, ignored = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    for i, target in enumerate(targets):  # they are on the CPU
        count = len(target.boxes)
        boxes[i, :count], labels[i, :count] = target.boxes, target.labels
        present[i, :count], ignored[i, :count] = ~target.ignored, target.ignored
    return Objects(*(column.to(device, non_blocking=True) for column in (boxes, labels, present, ignored)))
