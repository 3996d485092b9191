"""A detector from elsewhere: its weights under our names, and the settings under which they mean the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from resdet.data.lists import coco_classes, voc_names
from resdet.data.records import Classes


@dataclass(frozen=True)
class PretrainedDetector:
    """A published detector, and how its makers test it."""

    source: str  # the name it was asked for by
    state: dict[str, Tensor]  # of a FasterRCNN, under our names, for RGB
    settings: Mapping[str, Any]  # of a DetConfig, nested; what they leave out is as ever
    classes: Classes


def classes_of(count: int) -> Classes:
    """The classes of a detector with so many, which its file does not say: COCO's 80, VOC's 20, or just numbers."""
    coco = coco_classes()
    if count == len(coco):
        names = tuple(coco.values())
        return Classes(names, names, tuple(coco))
    names = voc_names() if count == len(voc_names()) else tuple(str(i) for i in range(1, count + 1))
    return Classes(names, names)


def background_last(rows: Tensor, kept: list[int]) -> Tensor:
    """Rows of a classifier whose background is the first, in our order: the classes kept, background, all others."""
    others = [i for i in range(1, len(rows)) if i not in set(kept)]
    return rows[torch.tensor([*kept, 0, *others])]
