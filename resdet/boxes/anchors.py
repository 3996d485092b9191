"""Anchors: the same few boxes around the centre of every cell of a feature map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def anchor_shapes(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """``(A, 4)`` boxes around the origin: for each size (sqrt of the area, pixels) each ratio (height / width).

    Areas are exact: Faster R-CNN's code rounds its base boxes, this one does not.
    """
    rows = []
    for size in sizes:
        for ratio in ratios:
            width, height = size / ratio**0.5, size * ratio**0.5
            rows.append((-width / 2, -height / 2, width / 2, height / 2))
    return torch.tensor(rows)


def anchor_grid(shapes: Tensor, height: int, width: int, stride: int) -> Tensor:
    """``(height * width * A, 4)`` anchors of a map whose cells are ``stride`` pixels wide.

    Row by row, cell by cell, all A shapes of a cell together: the order in which a ``(B, A * k, h, w)`` output
    reads after ``permute(0, 2, 3, 1).reshape(B, h * w * A, k)``.
    """
    x = (torch.arange(width, device=shapes.device) + 0.5) * stride
    y = (torch.arange(height, device=shapes.device) + 0.5) * stride
    y, x = torch.meshgrid(y, x, indexing="ij")
    centres = torch.stack((x, y, x, y), -1).reshape(-1, 1, 4)  # (h * w, 1, 4)
    return (centres + shapes).reshape(-1, 4)
