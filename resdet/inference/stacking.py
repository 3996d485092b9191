"""Views of images as a network takes them: those of one size together, in one tensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from resdet.data.viewed_images import ViewedImage


def same_size(images: Sequence[ViewedImage]) -> list[list[tuple[int, int]]]:
    """All (image, view) pairs, those of one pixel size together: what a network can take at once."""
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row, image in enumerate(images):
        for i, view in enumerate(image.views):
            groups.setdefault((view.height, view.width), []).append((row, i))
    return list(groups.values())


def stack(images: Sequence[ViewedImage], group: list[tuple[int, int]], device: torch.device) -> Tensor:
    """The pixels of views of one size: ``(B, 3, H, W)`` uint8 on the device."""
    pixels = np.stack([images[row].pixels[view] for row, view in group])  # (B, H, W, 3)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device)
