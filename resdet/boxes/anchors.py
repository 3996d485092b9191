"""Anchors: the same few boxes around the centre of every cell of a feature map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def anchor_shapes(sizes: Sequence[float], ratios: Sequence[float], rounded: bool = False) -> Tensor:
    """``(A, 4)`` boxes around the origin: for each size (sqrt of the area, pixels) each ratio (height / width).

    Areas are exact unless the boxes are ``rounded`` to whole pixels, as torchvision's are.
    """
    rows = []
    for size in sizes:
        for ratio in ratios:
            width, height = size / ratio**0.5, size * ratio**0.5
            rows.append((-width / 2, -height / 2, width / 2, height / 2))
    shapes = torch.tensor(rows)
    return shapes.round() if rounded else shapes


def anchor_grid(shapes: Tensor, height: int, width: int, stride: int) -> Tensor:
    """``(height * width * A, 4)`` anchors of a map whose cells are ``stride`` pixels wide.

    Row by row, cell by cell, all A shapes of a cell together: the order in which a ``(B, A * k, h, w)`` output
    reads after ``permute(0, 2, 3, 1).reshape(B, h * w * A, k)``.
    """
    return anchors_in(shapes, height, width, shapes.new_full((1, 2), stride), 0.5)[0]


def anchors_in(shapes: Tensor, height: int, width: int, cells: Tensor, offset: float) -> Tensor:
    """``(B, height * width * A, 4)`` anchors of maps whose cells differ in size from image to image.

    The order is :func:`anchor_grid`'s.

    Args:
        cells: ``(B, 2)`` width and height of a cell in each image, pixels.
        offset: where in its cell an anchor's centre lies, along both sides: 0.5 in the middle, 0 at the corner.
    """
    x = (torch.arange(width, dtype=cells.dtype, device=shapes.device) + offset) * cells[:, :1]  # (B, width)
    y = (torch.arange(height, dtype=cells.dtype, device=shapes.device) + offset) * cells[:, 1:]
    x, y = x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)
    centres = torch.stack((x, y, x, y), -1).flatten(1, 2)  # (B, h * w, 4)
    return (centres[:, :, None] + shapes).flatten(1, 2)
