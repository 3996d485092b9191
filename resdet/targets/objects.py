"""The objects of a batch side by side: what detection's anchors and regions are matched with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from resdet.boxes.overlap import pairwise_cover
from resdet.structures import Target, check_boxes

COVERED = 0.5  # of a box that lies in what is neither learnt nor counted: it is not background then


@dataclass(frozen=True)
class Objects:
    """The boxes of B images, at most G an image, zeros behind the last; G is 1 at least."""

    boxes: Tensor  # (B, G, 4) float32
    labels: Tensor  # (B, G) int64
    present: Tensor  # (B, G) bool: to be learnt
    ignored: Tensor  # (B, G) bool: neither an object nor background
    some_ignored: bool  # whether there is any of these: the host knows without asking the device

    def covers(self, boxes: Tensor) -> Tensor:
        """``(B, P)`` bool: which of ``(B, P, 4)`` or ``(P, 4)`` boxes lie in something ignored with half their area."""
        if not self.some_ignored:
            return self.ignored.new_zeros(len(self.boxes), boxes.shape[-2])
        share = pairwise_cover(boxes, self.boxes)  # (B, P, G)
        return ((share >= COVERED) & self.ignored[:, None]).any(-1)


def pad_objects(targets: Sequence[Target], device: torch.device, classes: int | None = None) -> Objects:
    """The targets of a batch on ``device``.

    Args:
        classes: K, where labels are to be learnt.

    Raises:
        ValueError: a box to be learnt has a label that is not 0 .. K-1 (K would be background), or as
            :func:`~resdet.structures.check_boxes`.
    """
    counts = torch.tensor([len(target.boxes) for target in targets], dtype=torch.int64)  # they are on the CPU
    shape = (len(targets), max([1, *counts.tolist()]))
    boxes, labels = torch.zeros(*shape, 4), torch.zeros(shape, dtype=torch.int64)
    ignored = torch.zeros(shape, dtype=torch.bool)
    filled = torch.arange(shape[1]) < counts[:, None]
    if targets:
        for column, name in ((boxes, "boxes"), (labels, "labels"), (ignored, "ignored")):
            column[filled] = torch.cat([getattr(target, name) for target in targets]).to(column.dtype)
    if classes is not None and bool((strange := ~ignored & ((labels < 0) | (labels >= classes))).any()):
        row = int(strange.any(1).nonzero()[0])
        raise ValueError(f"labels must be 0 .. {classes - 1}, got {targets[row].labels.tolist()} in image {row}")
    check_boxes(boxes[filled & ~ignored], "boxes to be learnt")
    there = [column.to(device, non_blocking=True) for column in (boxes, labels, filled & ~ignored, ignored)]
    boxes, labels, present, ignored_there = there
    return Objects(boxes, labels, present, ignored_there, some_ignored=bool(ignored.any()))
