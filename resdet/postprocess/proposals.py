"""From what the RPN says of every anchor to the few boxes that are looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.nn.utils.rnn import pad_sequence

from resdet.boxes.coder import decode
from resdet.boxes.geometry import clip
from resdet.devices import sent
from resdet.ops import batched_nms
from resdet.structures import Proposals, check_boxes


@dataclass(frozen=True)
class ProposalRule:
    """Which boxes are proposed; py-faster-rcnn's numbers for testing (12000 and 2000 in training)."""

    pre_nms: int = 6000  # the best so many anchors of an image take part, of each level where it has several
    kept: int = 300  # and the best so many boxes come out
    nms_iou: float = 0.7
    min_side: float = 16.0  # pixels


@dataclass(frozen=True)
class PaddedProposals:
    """The proposals of B images, best first, with zeros behind the last."""

    boxes: Tensor  # (B, N, 4) float32
    scores: Tensor  # (B, N) float32, in [0, 1]
    counts: Tensor  # (B,) int64
    finite: Tensor | None = None  # (B,) bool: whether the best anchors' logits and deltas are; None: nobody has looked

    @property
    def present(self) -> Tensor:
        """``(B, N)`` bool: which are no padding."""
        return torch.arange(self.boxes.shape[1], device=self.counts.device) < self.counts[:, None]

    def unpadded(self) -> list[Proposals]:
        """One an image; the host waits for the counts."""
        counts = self.counts.tolist()
        finite = [None] * len(counts) if self.finite is None else self.finite.unbind()
        each = zip(self.boxes, self.scores, counts, finite, strict=True)
        return [Proposals(b[:n], s[:n], f) for b, s, n, f in each]


def pad_proposals(boxes: Sequence[Tensor], device: torch.device) -> PaddedProposals:
    """Boxes ``(P, 4)`` of each image from elsewhere, side by side; their scores are 0.

    Raises:
        ValueError: as :func:`~resdet.structures.check_boxes`; on a GPU, which the host would wait for, nobody looks.
    """
    padded = pad_sequence(list(boxes), batch_first=True)
    if padded.device.type == "cpu":
        check_boxes(padded, "proposals")
    padded = padded.to(device, non_blocking=True)
    counts = sent([len(b) for b in boxes], device)
    return PaddedProposals(padded, padded.new_zeros(padded.shape[:2]), counts)


def select_proposals(
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    usable: Tensor,
    sizes: Tensor,
    rule: ProposalRule,
    levels: Sequence[int] = (),
    looks: bool = True,
) -> PaddedProposals:
    """The proposals of a batch: decoded, clipped to their image, thin ones dropped, NMS, the best few.

    What is not finite is no proposal; whether there was such, ``finite`` says.  All images go through one suppression.
    The host waits for the device only within it.

    Args:
        logits: ``(B, P)``.
        deltas: ``(B, P, 4)``.
        anchors: ``(P, 4)``, or ``(B, P, 4)`` where they differ from image to image.
        usable: ``(B, P)`` bool: anchors that are not beyond the image, in the padding of the batch.
        sizes: ``(B, 2)`` float, width and height of each image.
        levels: how many of the P anchors each level of a pyramid has; no box suppresses one of another level.
        looks: for what is not finite; training has no need to, as its losses tell.
    """
    batch, levels = len(logits), tuple(levels) or logits.shape[1:2]
    logits = logits.float().masked_fill(~usable, float("-inf"))
    best, index, level = _best_of_each(logits, levels, rule.pre_nms)
    rows = index[:, :, None].expand(-1, -1, 4)
    chosen = deltas.gather(1, rows).float()  # (B, n, 4)
    chosen_anchors = anchors.expand(batch, -1, -1).gather(1, rows)
    finite = None
    if looks:  # a NaN is among the best
        finite = ((best.isfinite() & chosen.isfinite().all(-1)) | ~usable.gather(1, index)).all(1)
    boxes = clip(decode(chosen, chosen_anchors), sizes[:, None])
    sides = boxes[..., 2:] - boxes[..., :2]
    # (a NaN fails every comparison)
    good = ((sides >= rule.min_side) & (sides > 0)).all(-1) & (best > float("-inf"))
    scores = torch.where(good, best, float("nan"))  # NMS leaves these out; removing rows would be a wait
    image = torch.arange(batch, device=good.device)[:, None]
    group = (image.expand(-1, index.shape[1]) if level is None else image * len(levels) + level).flatten()
    rows = torch.cat((boxes, scores.sigmoid()[..., None]), 2).flatten(0, 1)
    kept = batched_nms(rows[:, :4], scores.flatten(), group, rule.nms_iou, rule.kept)  # best first
    return replace(_side_by_side(rows[kept], group[kept] // len(levels), batch, rule.kept), finite=finite)


def _best_of_each(logits: Tensor, levels: Sequence[int], most: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """The best anchors of each level, at most ``most``: logits and places ``(B, n)``, and levels ``(n,)``.

    The levels are None where there is one.
    """
    if len(levels) == 1:
        return *logits.topk(min(most, levels[0]), 1), None
    values, places, of_level = [], [], []
    start = 0
    for level, part in enumerate(logits.split(tuple(levels), 1)):
        value, place = part.topk(min(most, part.shape[1]), 1)
        values.append(value)
        places.append(place + start)
        of_level.append(torch.full_like(place[0], level))
        start += part.shape[1]
    return torch.cat(values, 1), torch.cat(places, 1), torch.cat(of_level)


def _side_by_side(rows: Tensor, image: Tensor, batch: int, most: int) -> PaddedProposals:
    """Boxes with their scores ``(N, 5)``, the first ``most`` of each image, in as many places of a row for each."""
    of_image = one_hot(image, batch)  # (N, B)
    place = of_image.cumsum(0).gather(1, image[:, None])[:, 0] - 1
    padded = rows.new_zeros(batch, most + 1, 5)
    padded[image, place.clamp(max=most)] = rows  # one place more takes what is too much
    padded = padded[:, :most]
    return PaddedProposals(padded[..., :4], padded[..., 4], of_image.sum(0).clamp(max=most))
