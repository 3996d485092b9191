"""The one box that a view of one object is about."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from resdet.boxes.geometry import area
from resdet.structures import Target


def dominant_boxes(targets: Sequence[Target], device: torch.device) -> tuple[Tensor, Tensor]:
    """Each image's largest box of the image's own class: VGG regresses one box and does not say which of several.

    Returns:
        ``(B, 4)`` boxes, zeros where an image has none, and ``(B,)`` bool: which have one.
    """
    boxes, present = torch.zeros(len(targets), 4), torch.zeros(len(targets), dtype=torch.bool)
    for i, target in enumerate(targets):  # they are on the CPU
        of_class = target.boxes[(target.labels == target.label) & ~target.ignored]
        if len(of_class):
            boxes[i], present[i] = of_class[area(of_class).argmax()], True
    return boxes.to(device, non_blocking=True), present.to(device, non_blocking=True)
