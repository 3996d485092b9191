"""The objects of a batch side by side: what detection's anchors and regions are matched with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from resdet.boxes.overlap import pairwise_cover
from resdet.structures import Target, check_boxes

NOTHING = Target(-1, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
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


def pad_objects(
    targets: Sequence[Target], device: torch.device, classes: int | None = None, *, own_class: bool = False
) -> Objects:
    """The targets of a batch on ``device``.

    Args:
        classes: K, where labels are to be learnt.
        own_class: boxes of other classes than the image's are as if they were not there: what learns is the output of
            the image's class.

    Raises:
        ValueError: a box to be learnt has a label that is not 0 .. K-1 (K would be background), or as
            :func:`~resdet.structures.check_boxes`.
    """
    rows, counts = _rows(targets, own_class)
    filled = torch.arange(max([1, *counts.tolist()])) < counts[:, None]  # (B, G)
    boxes, labels = torch.zeros(*filled.shape, 4), torch.zeros(filled.shape, dtype=torch.int64)
    ignored = torch.zeros_like(filled)
    for column, values in zip((boxes, labels, ignored), rows, strict=True):
        column[filled] = values.to(column.dtype)
    if classes is not None and bool((strange := ~ignored & ((labels < 0) | (labels >= classes))).any()):
        row = int(strange.any(1).nonzero()[0])
        raise ValueError(f"labels must be 0 .. {classes - 1}, got {targets[row].labels.tolist()} in image {row}")
    check_boxes(boxes[filled & ~ignored], "boxes to be learnt")
    boxes[~boxes.isfinite().all(-1)] = 0  # ignored ones: they cover nothing, and 0 times NaN is NaN
    some_ignored = bool(ignored.any())
    columns = (boxes, labels, filled & ~ignored, ignored)
    boxes, labels, present, ignored = (column.to(device, non_blocking=True) for column in columns)
    return Objects(boxes, labels, present, ignored, some_ignored)


def _rows(targets: Sequence[Target], own_class: bool) -> tuple[list[Tensor], Tensor]:
    """Boxes, labels and what is ignored, each of all images one after another; and ``(B,)`` how many an image has."""
    counts = torch.tensor([len(target.boxes) for target in targets], dtype=torch.int64)  # they are on the CPU
    rows = [torch.cat([getattr(t, name) for t in targets or (NOTHING,)]) for name in ("boxes", "labels", "ignored")]
    if own_class:
        image = torch.repeat_interleave(counts)  # (N,): 0, 0, 1 of counts 2, 1
        own = rows[1] == torch.tensor([target.label for target in targets], dtype=torch.int64)[image]
        rows, counts = [column[own] for column in rows], image[own].bincount(minlength=len(targets))
    return rows, counts
