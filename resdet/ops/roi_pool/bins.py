"""Which cells the bins of RoI pool cover.

Both corners of a region are rounded to cells and both cells belong to it, so that it is ``x2 - x1 + 1`` cells wide: the
inclusive-pixel rule of Fast R-CNN's code.  A region that is upside down counts as one cell wide.  Neighbouring bins
share a cell where the region does not divide evenly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from resdet.ops.regions import in_cells


def bin_edges(rois: Tensor, shape: tuple[int, int, int], size: int, stride: float) -> tuple[Tensor, Tensor, Tensor]:
    """The cells of each bin of each region.

    Args:
        rois: ``(R, 5)`` in input pixels.
        shape: images of the batch, rows and columns of the map.

    Returns:
        the image of each region, ``(R,)`` int64; the first row and the one after the last of each bin, ``(R, 2, size)``
        int64; and the same for columns.  Bins outside the map, and all of a region that cannot be read, have none.
    """
    images, height, width = shape
    image, corners, usable = in_cells(rois, images, stride)
    whole = corners.trunc()  # C's round(), halves away from zero, and exact where x + 0.5 would not be
    corners = whole + corners.sign() * ((corners - whole).abs() >= 0.5)
    start, cells = corners[:, :2], (corners[:, 2:] - corners[:, :2] + 1).clamp(min=1)  # (R, 2), x and y
    bins = torch.arange(size, device=rois.device)
    # in floats, as torchvision has it: a bin of a region of 57 cells and more can reach one cell farther than it should
    bin_length = (cells / size)[..., None]
    edges = torch.stack(((bins * bin_length).floor(), ((bins + 1) * bin_length).ceil()), 1)  # (R, 2, xy, size)
    edges = edges + start[:, None, :, None]
    x, y = edges[:, :, 0].clamp(0, width), edges[:, :, 1].clamp(0, height)
    readable = usable[:, None, None]
    return image, torch.where(readable, y, 0).long(), torch.where(readable, x, 0).long()
