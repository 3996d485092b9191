"""How a localizer is tested, and what it says of images before a box is chosen: classes, and candidates for boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from resdet.boxes.geometry import clip
from resdet.boxes.overlap import pairwise_iou
from resdet.data.viewed_images import ViewedImage
from resdet.data.views import centre, from_view, whole
from resdet.inference.stacking import same_size, stack
from resdet.models.pcr import AnyLocalizer
from resdet.precision import autocast
from resdet.structures import Target, View


@dataclass(frozen=True)
class LocProtocol:
    """How a localizer is tested (App. C)."""

    name: str  # "1-crop": the centre crop; "dense": the whole image, fully convolutional, at several scales
    size: int  # 1-crop: side of the crop
    resize: int  # 1-crop: shorter side before the crop
    scales: tuple[int, ...]  # dense: shorter sides
    mirror: bool  # dense: each scale's mirror image too
    vote_iou: float | None  # candidates that vote on the box; None: the best candidate as it is
    greedy: bool = False  # they are merged pair by pair (VGG, OverFeat) and do not vote
    # several localizers with the same anchors: each anchor's scores and boxes are averaged.  Not in the repr, which
    # names proposals on disk: what a single one proposes is the same
    averaged: bool = field(default=False, repr=False)

    def views(self, width: int, height: int) -> list[View]:
        """The views of an image of this size."""
        if self.name == "1-crop":
            return [centre(width, height, self.resize, self.size)]
        mirrors = (False, True) if self.mirror else (False,)
        return [whole(width, height, scale, mirror) for scale in self.scales for mirror in mirrors]


@torch.inference_mode()
def best_candidates(
    model: AnyLocalizer,
    batches: Iterable[Sequence[ViewedImage]],
    truth: Callable[[int], Target],
    device: torch.device,
    precision: str = "fp32",
) -> Tensor:
    """How well each image's best candidate fits: the error that would remain if the choice among them were perfect.

    Args:
        truth: an image's target by its index.

    Returns:
        ``(N,)`` IoU of the true class's candidate that overlaps a true box most; 0 where there is no true box.
    """
    model.eval()
    best = []
    for batch in batches:
        groups = same_size(batch)
        targets = [truth(image.index) for image in batch]
        labels = torch.tensor([[max(0, target.label)] for target in targets])
        with autocast(device, precision):
            maps = [model.features(stack(batch, group, device)) for group in groups]
            found = candidates(model, batch, groups, maps, labels, device)
        for image, target, (_, boxes) in zip(batch, targets, found, strict=True):
            inside = clip(boxes[0], boxes.new_tensor([image.width, image.height]))
            of_class = target.boxes[target.labels == target.label]
            best.append(pairwise_iou(inside, of_class).max() if len(of_class) else boxes.new_tensor(0.0))
    return torch.stack(best)


def candidates(
    model: AnyLocalizer,
    images: Sequence[ViewedImage],
    groups: list[list[tuple[int, int]]],
    maps: list[dict[str, Tensor]],
    asked: Tensor,
    device: torch.device,
) -> list[tuple[Tensor, Tensor]]:
    """For each image, of all anchors of all its views: scores ``(k, P)`` and boxes ``(k, P, 4)`` in its own pixels.

    Args:
        groups: of :func:`resdet.inference.stacking.same_size`.
        maps: the model's features of each group.
        asked: ``(B, k)`` int64, the classes asked about.
    """
    found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in images]
    for features, group in zip(maps, groups, strict=True):
        rows = torch.tensor([row for row, _ in group])
        scores, boxes = (column.cpu() for column in model.boxes(features, asked[rows].to(device)))  # one wait a group
        for i, (row, view) in enumerate(group):
            found[row].append((scores[i], from_view(boxes[i], images[row].views[view])))
    return [(torch.cat([s for s, _ in each], 1), torch.cat([b for _, b in each], 1)) for each in found]


def class_probabilities(
    model: AnyLocalizer, maps: list[dict[str, Tensor]], groups: list[list[tuple[int, int]]], images: int
) -> Tensor:
    """``(images, K)`` of a localizer's own classifier, averaged over an image's views; see :func:`candidates`."""
    total: Tensor | None = None
    counts = torch.zeros(images, 1)
    for features, group in zip(maps, groups, strict=True):
        probabilities = model.class_logits(features).softmax(1).cpu()
        rows = torch.tensor([row for row, _ in group])
        total = probabilities.new_zeros(images, probabilities.shape[1]) if total is None else total
        total.index_add_(0, rows, probabilities)
        counts.index_add_(0, rows, torch.ones(len(rows), 1))
    assert total is not None  # every image has a view
    return total / counts
