"""RoI pool (Girshick 2015, "Fast R-CNN", Sec. 2.1): the maximum in each bin of a region, corners rounded to cells."""

from __future__ import annotations

from torch import Tensor

from resdet.ops import regions
from resdet.ops.roi_pool import op


def roi_pool(features: Tensor, rois: Tensor, size: int, stride: float) -> Tensor:
    """Max-pool every region into ``size x size`` bins.

    As ``torchvision.ops.roi_pool`` with ``spatial_scale=1 / stride`` for every region that has finite corners.  As
    there, the gradient of its gradient is refused (NotImplementedError).

    Args:
        features: ``(B, C, H, W)`` float16, bfloat16, float32 or float64.
        rois: ``(R, 5)`` float rows of image, x1, y1, x2, y2 in input pixels; no gradient flows to them.
        size: bins a side.
        stride: input pixels a cell of the map.

    Returns:
        ``(R, C, size, size)`` of the features' type and memory format.  Of equal maxima the first in reading order
        takes the gradient.  A bin outside the map is 0.  So is a region with NaN or infinite corners, or of an
        image that is not in the batch: such rows can fill a table up.
    """
    regions.check(features, rois, size, stride)
    return op.run(features, rois, size, float(stride))
