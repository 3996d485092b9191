"""RoI pool, to be read.

Both corners are rounded to cells and both cells belong to the region, so that it is ``x2 - x1 + 1`` cells wide: the
inclusive-pixel rule of Fast R-CNN's code, which lives here and in the development kit's IoU only.  A region that
is upside down counts as one cell wide.  Neighbouring bins share a cell where the region does not divide evenly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from resdet.ops.regions import in_cells


def roi_pool(features: Tensor, rois: Tensor, size: int, stride: float) -> Tensor:
    """See :func:`resdet.ops.roi_pool`; autograd goes through."""
    images, channels, height, width = features.shape
    image, y, x = bin_edges(rois, (images, height, width), size, stride)
    nothing = features[:0].sum()  # 0, but of the features: the gradient is 0 where no bin has a cell, not missing
    pooled = nothing.expand(len(rois), channels, size, size).clone()
    for r in range(len(rois)):
        for p in range(size):
            for q in range(size):
                cells = features[image[r], :, y[r, 0, p] : y[r, 1, p], x[r, 0, q] : x[r, 1, q]].flatten(1)
                if cells.numel():
                    pooled[r, :, p, q] = cells.max(1).values
    return pooled


def bin_edges(rois: Tensor, shape: tuple[int, int, int], size: int, stride: float) -> tuple[Tensor, Tensor, Tensor]:
    """Which cells each bin covers.

    Args:
        rois: ``(R, 5)`` in input pixels.
        shape: images of the batch, rows and columns of the map.

    Returns:
        the image of each region, ``(R,)`` int64; the first row and the one after the last of each bin, ``(R, 2, size)``
        int64; and the same for columns.  Bins outside the map, and all of a region that cannot be read, have none.
    """
    images, height, width = shape
    image, corners, usable = in_cells(rois, images, stride)
    # C's round(), halves away from zero; in float64, where adding a half is exact
    corners = (corners.sign() * (corners.abs().double() + 0.5).floor()).to(corners.dtype)  # (R, 4) whole numbers
    start, cells = corners[:, :2], (corners[:, 2:] - corners[:, :2] + 1).clamp(min=1)  # (R, 2), x and y
    bins = torch.arange(size, device=rois.device)
    # n / size * p in floats, as torchvision has it: a bin of a huge region can reach one cell farther than it should
    bin_length = (cells / size)[..., None]
    edges = torch.stack((torch.floor(bins * bin_length), torch.ceil((bins + 1) * bin_length)), 1)  # (R, 2, xy, size)
    edges = edges + start[:, None, :, None]
    x, y = edges[:, :, 0].clamp(0, width), edges[:, :, 1].clamp(0, height)
    readable = usable[:, None, None]
    return image, torch.where(readable, y, 0).long(), torch.where(readable, x, 0).long()
