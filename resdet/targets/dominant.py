"""The one box that a view of one object is about."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from resdet.boxes.geometry import area
from resdet.structures import Target
from resdet.targets.objects import pad_objects


def dominant_boxes(targets: Sequence[Target], device: torch.device) -> tuple[Tensor, Tensor]:
    """Each image's largest box of the image's own class: VGG regresses one box and does not say which of several.

    Returns:
        ``(B, 4)`` boxes, zeros where an image has none with an area, and ``(B,)`` bool: which have one.

    Raises:
        ValueError: as :func:`~resdet.targets.objects.pad_objects`.
    """
    objects = pad_objects(targets, torch.device("cpu"), own_class=True)
    areas, largest = area(objects.boxes).masked_fill(~objects.present, 0).max(1)  # (B,)
    present = areas > 0
    boxes = objects.boxes[torch.arange(len(targets)), largest].masked_fill(~present[:, None], 0)
    return boxes.to(device, non_blocking=True), present.to(device, non_blocking=True)
