"""Whole images with their proposals: what R-CNN's training reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from resdet.data import detection
from resdet.data.detection import DetectionImages, shown
from resdet.data.grouping import GroupedPlan
from resdet.data.loading import Batches, make_loader
from resdet.data.plan import Draw
from resdet.data.proposals import ProposalFolder
from resdet.data.views import moved
from resdet.structures import ImageBatch, Target

Row = tuple[np.ndarray, Target, int, Tensor]  # as detection's, and the proposals (P, 4) in the pixels


@dataclass(frozen=True)
class ProposedImages:
    """``self[Draw]`` is an image as training sees it, with its target and its proposals moved along."""

    images: DetectionImages
    proposals: ProposalFolder  # of the same images, in their order

    def __getitem__(self, draw: Draw) -> Row:
        pixels, view = self.images.seen(draw)
        boxes = torch.from_numpy(moved(self.proposals[draw.index].boxes.numpy(), view))
        return pixels, shown(self.images.records.target(draw.index), view), draw.index, boxes

    def __len__(self) -> int:
        return len(self.images)


def proposed_loader(images: ProposedImages, plan: GroupedPlan, workers: int, multiple: int = 32) -> Batches:
    """Batches of :class:`ImageBatch` with proposals, one a step of ``plan``."""
    return make_loader(images, workers, batch_sampler=plan, collate_fn=partial(collate, multiple=multiple))


def collate(rows: Sequence[Row], multiple: int = 32) -> ImageBatch:
    """The images in one padded tensor, with their targets, indices, sizes and proposals."""
    batch = detection.collate([row[:3] for row in rows], multiple)
    return replace(batch, proposals=tuple(row[3] for row in rows))
