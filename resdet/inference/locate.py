"""Localizers over batches of images, one or several, with R-CNNs behind them or not: classes, and a box for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from resdet.boxes.geometry import clip
from resdet.data.viewed_images import ViewedImage
from resdet.inference.cls import most_probable
from resdet.inference.loc import LocProtocol, candidates, class_probabilities
from resdet.inference.rcnn import Rescorer, look_again, shared_crops
from resdet.inference.stacking import same_size, stack
from resdet.models.pcr import AnyLocalizer
from resdet.postprocess.merge import best_box, greedy_merge
from resdet.precision import autocast
from resdet.structures import View


@dataclass(frozen=True)
class Located:
    """The answer for one image: k classes and the box that would be drawn for each."""

    index: int
    width: int
    height: int
    labels: Tensor  # (k,) int64, most probable class first
    class_scores: Tensor  # (k,) probabilities
    boxes: Tensor  # (k, 4) in pixels of the image, clipped to it
    box_scores: Tensor  # (k,) of the anchors, or the crops, that the boxes come from
    true_class_box: Tensor | None = None  # (4,): the box for the class that was given as true
    error: str | None = None  # the image could not be read: nothing else is set


@dataclass(frozen=True)
class Member:
    """One localizer of those that answer together."""

    model: AnyLocalizer
    protocol: LocProtocol
    label: Tensor | None = None  # (K,) int64: what it calls each label that is answered; None: the same
    precision: str = "fp32"  # its own, whatever the others' is


@dataclass(frozen=True)
class Locators:
    """Localizers that propose together, and R-CNNs that judge together what was proposed (App. C).

    Their candidates are united, or averaged where the first one's protocol says so; R-CNNs' scores are averaged.  The
    first R-CNN, or else the first localizer, says how boxes vote, and an R-CNN what R-CNNs' scores count beside the
    localizers'.
    """

    members: tuple[Member, ...]
    rescorers: tuple[Rescorer, ...] = ()

    def views(self, width: int, height: int) -> list[View]:
        """The views of all, one network's after another's."""
        return [view for part in self._views(width, height) for view in part]

    def parts(self, width: int, height: int) -> list[slice]:
        """Where in :meth:`views` each one's are: the localizers', then the R-CNNs', one view each."""
        ends = accumulate((len(part) for part in self._views(width, height)), initial=0)
        return [slice(start, end) for start, end in pairwise(ends)]

    def _views(self, width: int, height: int) -> list[list[View]]:
        seen = [member.protocol.views(width, height) for member in self.members]
        return seen + [rescorer.rule.views(width, height) for rescorer in self.rescorers]


@torch.inference_mode()
def locate_together(
    locators: Locators,
    batches: Iterable[Sequence[ViewedImage]],
    device: torch.device,
    *,
    guesses: tuple[Tensor, Tensor] | None = None,
    true_labels: Tensor | None = None,
) -> Iterator[Located]:
    """Localize every image, in order, whether or not it could be read.

    Args:
        batches: images cut as ``locators.views`` says.
        guesses: ``(N, k)`` labels and probabilities by image index, from other classifiers; None: the average of the
            localizers' own.
        true_labels: ``(N,)`` by image index: the box for this class is answered too; for class 0 where it is -1.
    """
    for member in locators.members:
        member.model.eval()
    for rescorer in locators.rescorers:
        rescorer.model.eval()
    for batch in batches:
        readable = [image for image in batch if image.error is None]
        answers = {}
        if readable:
            found = _locate(locators, readable, device, guesses, true_labels)
            answers = {answer.index: answer for answer in found}
        for image in batch:
            yield answers.get(image.index) or _failed(image)


def _locate(
    locators: Locators,
    images: Sequence[ViewedImage],
    device: torch.device,
    guesses: tuple[Tensor, Tensor] | None,
    true_labels: Tensor | None,
) -> list[Located]:
    indices = torch.tensor([image.index for image in images])
    shows = [_show(locators, i, images, device) for i in range(len(locators.members))]
    if guesses is None:
        said = torch.stack([_class_probabilities(shown, len(images), device) for shown in shows])
        labels, scores = most_probable(said.mean(0))
    else:
        labels, scores = (column[indices] for column in guesses)
    asked = labels if true_labels is None else torch.cat((labels, true_labels[indices, None].clamp(min=0)), 1)

    proposed = [_candidates(shown, asked, device) for shown in shows]
    answers = []
    for row, (image, *each) in enumerate(zip(images, *proposed, strict=True)):
        every = _joined(each, averaged=locators.members[0].protocol.averaged)
        boxes, box_scores = _decide(locators, image, asked[row], *every, device)
        boxes = clip(boxes, boxes.new_tensor([image.width, image.height]))
        k = labels.shape[1]
        true_box = None if true_labels is None else boxes[k]
        answer = (labels[row], scores[row], boxes[:k], box_scores[:k], true_box)
        answers.append(Located(image.index, image.width, image.height, *answer))
    return answers


def _joined(each: Sequence[tuple[Tensor, Tensor]], *, averaged: bool) -> tuple[Tensor, Tensor]:
    """Scores ``(k, P)`` and boxes ``(k, P, 4)`` of one image from those of each localizer."""
    scores, boxes = zip(*each, strict=True)
    if averaged:
        return torch.stack(scores).mean(0), torch.stack(boxes).mean(0)
    return torch.cat(scores, 1), torch.cat(boxes, 1)


def _decide(
    locators: Locators, image: ViewedImage, asked: Tensor, scores: Tensor, boxes: Tensor, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The box ``(k, 4)`` of each class and its score ``(k,)`` out of ``(k, P)`` candidates."""
    if locators.rescorers:
        if not (scores.isfinite().all() and boxes.isfinite().all()):  # there are no crops to judge
            return torch.full_like(boxes[:, 0], torch.nan), torch.full_like(scores[:, 0], torch.nan)
        rule = locators.rescorers[0].rule
        crops = shared_crops(scores, boxes, (image.width, image.height), rule)
        parts = locators.parts(image.width, image.height)[len(locators.members) :]
        pixels, views = [image.pixels[p][0] for p in parts], [image.views[p][0] for p in parts]
        return best_box(*look_again(locators.rescorers, pixels, views, crops, asked, device), rule.vote_iou)
    protocol = locators.members[0].protocol
    if protocol.greedy and protocol.vote_iou is not None:
        return greedy_merge(scores, boxes, protocol.vote_iou)
    return best_box(scores, boxes, protocol.vote_iou)


@dataclass(frozen=True)
class _Shown:
    """What one localizer has seen of a batch."""

    member: Member
    images: list[ViewedImage]  # with its own views alone
    groups: list[list[tuple[int, int]]]
    maps: list[dict[str, Tensor]]


def _show(locators: Locators, member: int, images: Sequence[ViewedImage], device: torch.device) -> _Shown:
    one = locators.members[member]
    seen = [_seen_by(locators, member, image) for image in images]
    groups = same_size(seen)
    with autocast(device, one.precision):
        return _Shown(one, seen, groups, [one.model.features(stack(seen, group, device)) for group in groups])


def _candidates(shown: _Shown, asked: Tensor, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    one = shown.member
    classes = asked if one.label is None else one.label[asked]
    with autocast(device, one.precision):
        return candidates(one.model, shown.images, shown.groups, shown.maps, classes, device)


def _seen_by(locators: Locators, member: int, image: ViewedImage) -> ViewedImage:
    """The image with the views of one localizer alone."""
    if len(locators.members) == 1 and not locators.rescorers:
        return image
    part = locators.parts(image.width, image.height)[member]
    return image._replace(views=image.views[part], pixels=image.pixels[part])


def _class_probabilities(shown: _Shown, images: int, device: torch.device) -> Tensor:
    """``(B, K)`` of a localizer's own classifier, in the order of the labels that are answered."""
    one = shown.member
    with autocast(device, one.precision):
        found = class_probabilities(one.model, shown.maps, shown.groups, images)
    return found if one.label is None else found[:, one.label]


def _failed(image: ViewedImage) -> Located:
    nothing = torch.zeros(0)
    return Located(image.index, 0, 0, nothing.long(), nothing, torch.zeros(0, 4), nothing, None, image.error)
