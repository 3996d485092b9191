"""R-CNN behind a localizer (App. C): the proposals that it learns from, and the boxes that it scores and moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from resdet.boxes.geometry import clip
from resdet.boxes.overlap import pairwise_iou
from resdet.data.viewed_images import ViewedImage
from resdet.data.views import from_view, to_view, whole
from resdet.inference.loc import candidates
from resdet.inference.stacking import same_size, stack
from resdet.models.pcr import AnyLocalizer
from resdet.models.rcnn import RCNN
from resdet.ops import nms
from resdet.precision import autocast
from resdet.structures import Proposals, View


@dataclass(frozen=True)
class Rescoring:
    """Which boxes are looked at again, and in what; the defaults and their sources stand in the config."""

    shorter: int  # side of the image that crops are cut from, pixels
    longer: int
    proposals: int = 200
    min_side: float = 16.0  # pixels of the image
    share_iou: float = 0.9
    score_share: float = 1.0  # of an R-CNN's scores in what ranks; the rest is the localizer's
    vote_iou: float | None = 0.5

    def views(self, width: int, height: int) -> list[View]:
        """The one view that crops are cut from."""
        return [whole(width, height, self.shorter, longer_side=self.longer)]


@dataclass(frozen=True)
class Rescorer:
    """One R-CNN of those that judge together."""

    model: RCNN
    rule: Rescoring
    label: Tensor | None = None  # (K,) int64: what it calls each label that is asked about; None: the same
    precision: str = "fp32"  # its own, whatever the others' is


@dataclass(frozen=True)
class SharedCrops:
    """The boxes of one image that are cropped, and whose they are."""

    boxes: Tensor  # (R, 4) in pixels of the image
    members: Tensor  # (k, R) bool: which stand for a proposal of each class
    scores: Tensor  # (k, R) the best score of these proposals; 0 where there are none


def shared_crops(scores: Tensor, boxes: Tensor, size: tuple[int, int], rule: Rescoring) -> SharedCrops:
    """The best proposals of each class; near-duplicates, whatever their classes, share one crop.

    A proposal is not cropped where a better one, of whatever class, overlaps it by more than ``rule.share_iou``: the
    one it overlaps most stands for it.  Thin ones are left out; of a class that has no others the best is kept.

    Args:
        scores: ``(k, P)`` of the localizer, from 0 to 1.
        boxes: ``(k, P, 4)`` in pixels of the image.
        size: width and height of the image.
    """
    boxes = clip(boxes, boxes.new_tensor(size))
    thin = ((boxes[..., 2:] - boxes[..., :2]) < rule.min_side).any(-1)
    rank, place = torch.where(thin, scores - 2, scores).topk(min(rule.proposals, scores.shape[1]), 1)  # (k, M)
    wanted = rank >= 0
    wanted[:, 0] = True
    owner = torch.arange(len(scores))[:, None].expand_as(wanted)[wanted]  # (N,): the class of each proposal
    every = boxes.take_along_dim(place[:, :, None], 1)[wanted]  # (N, 4)
    kept = torch.arange(len(every)) if rule.share_iou >= 1 else nms(every, rank[wanted], rule.share_iou)
    stands_in = pairwise_iou(every, every[kept]).argmax(1)
    stands_in[kept] = torch.arange(len(kept))
    shape, cell = (len(scores), len(kept)), owner * len(kept) + stands_in  # (N,): of the class and the crop
    members = torch.zeros(shape, dtype=torch.bool)
    members[owner, stands_in] = True
    own = scores.gather(1, place)[wanted]  # (N,): thin ones were only ranked lower
    best = scores.new_zeros(shape).flatten().scatter_reduce(0, cell, own, "amax").view(shape)
    return SharedCrops(every[kept], members, best)


@dataclass(frozen=True)
class Proposing:
    """Which of a localizer's boxes R-CNN learns from."""

    kept: int = 200
    nms_iou: float = 1.0  # 1: none is dropped for another
    min_side: float = 16.0  # pixels of the image


@torch.inference_mode()
def propose(
    model: AnyLocalizer,
    batches: Iterable[Sequence[ViewedImage]],
    labels: Tensor,
    rule: Proposing,
    device: torch.device,
    precision: str = "fp32",
) -> Iterator[Proposals]:
    """The best boxes for one class of each image, in order, in its pixels and clipped to it, best first.

    ``finite`` says of each image whether all its candidates are; what is not is no proposal.

    Args:
        labels: ``(N,)`` by image index.
    """
    model.eval()
    for batch in batches:
        groups = same_size(batch)
        asked = labels[torch.tensor([image.index for image in batch])][:, None]
        with autocast(device, precision):
            maps = [model.features(stack(batch, group, device)) for group in groups]
            found = candidates(model, batch, groups, maps, asked, device)
        for image, (scores, boxes) in zip(batch, found, strict=True):
            inside = clip(boxes[0].float(), boxes.new_tensor([image.width, image.height]))
            wide = ((inside[:, 2:] - inside[:, :2]) >= max(rule.min_side, 1e-3)).all(1)
            inside, score = inside[wide], scores[0, wide].float()
            if rule.nms_iou < 1:
                kept = nms(inside, score, rule.nms_iou)[: rule.kept]
            else:
                kept = score.argsort(descending=True, stable=True)[: rule.kept]
            yield Proposals(inside[kept], score[kept], boxes[0].isfinite().all() & scores[0].isfinite().all())


@torch.inference_mode()
def look_again(
    rescorers: Sequence[Rescorer],
    pixels: Sequence[np.ndarray],
    views: Sequence[View],
    crops: SharedCrops,
    asked: Tensor,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """R-CNNs' scores and boxes for an image's crops, averaged.

    The localizer's scores are mixed in: ``own ** s * localizer's ** (1 - s)``, s the first one's
    ``score_share``.

    Args:
        pixels: ``(H, W, 3)`` uint8, the image as each of them sees it.
        views: how that lies in the image.
        asked: ``(k,)`` labels.

    Returns:
        scores ``(k, R)`` in [0, 1], 0 where a crop stands for no proposal of the class, and boxes ``(k, R, 4)`` in
        pixels of the image, on the CPU.
    """
    scores, boxes = torch.zeros(crops.members.shape), torch.zeros(*crops.members.shape, 4)
    for rescorer, image, view in zip(rescorers, pixels, views, strict=True):
        classes = asked if rescorer.label is None else rescorer.label[asked]
        batch = torch.from_numpy(image).permute(2, 0, 1)[None].to(device)
        with autocast(device, rescorer.precision):
            logits, moved = rescorer.model.judge(batch, to_view(crops.boxes, view).to(device), classes.to(device))
        scores += logits.sigmoid().T.cpu()
        boxes += from_view(moved.transpose(0, 1).cpu(), view)
    count, share = len(rescorers), rescorers[0].rule.score_share
    ranks = (scores / count) ** share * crops.scores.float().cpu() ** (1 - share)
    return torch.where(crops.members, ranks, 0.0), boxes / count
