"""The one box that a view of one object is about."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from resdet.boxes.geometry import area
from resdet.structures import Target, check_boxes


def dominant_boxes(targets: Sequence[Target], device: torch.device) -> tuple[Tensor, Tensor]:
    """Each image's largest box of the image's own class: VGG regresses one box and does not say which of several.

    Returns:
        ``(B, 4)`` boxes, zeros where an image has none with an area, and ``(B,)`` bool: which have one.

    Raises:
        ValueError: as :func:`~resdet.structures.check_boxes`.
    """
    boxes, present = torch.zeros(len(targets), 4), torch.zeros(len(targets), dtype=torch.bool)
    of_class = [target.boxes[(target.labels == target.label) & ~target.ignored] for target in targets]  # on the CPU
    if targets:
        check_boxes(torch.cat(of_class), "boxes to be learnt")
    for i, own in enumerate(of_class):
        areas = area(own)
        if (areas > 0).any():
            boxes[i], present[i] = own[areas.argmax()], True
    return boxes.to(device, non_blocking=True), present.to(device, non_blocking=True)
