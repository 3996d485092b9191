"""RoI align (He et al. 2017, "Mask R-CNN", Sec. 3): bilinear samples of the map, averaged over the bins of a region."""

from __future__ import annotations

from torch import Tensor

from resdet.ops import regions
from resdet.ops.roi_align import op


def roi_align(
    features: Tensor,
    rois: Tensor,
    size: int,
    stride: float,
    sampling: int = 0,
    aligned: bool = True,
    step: int = 1,
) -> Tensor:
    """Every region resampled to ``size x size`` bins, each the mean of bilinear samples.

    As ``torchvision.ops.roi_align`` with ``spatial_scale=1 / stride`` for every region that has finite corners.  Its
    gradient has a gradient too, which torchvision's has not.

    Args:
        features: ``(B, C, H, W)`` float16, bfloat16, float32 or float64.
        rois: ``(R, 5)`` float rows of image, x1, y1, x2, y2 in input pixels; no gradient flows to them.
        size: bins a side.
        stride: input pixels a cell of the map.
        sampling: samples a bin and axis; 0: one for every begun cell of the bin, thus none in a region that is
            empty or upside down.
        aligned: cell centres lie at half pixels (the correct rule); False: the older one, half a cell off, where
            a region measures at least one cell.
        step: only every ``step``-th bin along each side is computed, from the first on: those that a 1x1 convolution
            of that stride reads.

    Returns:
        ``(R, C, n, n)`` bins, n = ceil(size / step), of the features' type and memory format, summed in float32.  A
        sample more than one cell outside the map counts as 0.  A region with NaN or infinite corners, or of an image
        that is not in the batch, is 0: such rows can fill a table up.
    """
    regions.check(features, rois, size, stride)
    if sampling < 0:
        raise ValueError(f"sampling must be 0 (as many as the region has cells) or more, got {sampling}")
    if step < 1:
        raise ValueError(f"step must be 1 (every bin) or more, got {step}")
    return op.run(features, rois, size, float(stride), sampling, aligned, step)
