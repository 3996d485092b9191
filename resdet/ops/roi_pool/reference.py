"""RoI pool, to be read."""

from __future__ import annotations

from torch import Tensor

from resdet.ops.roi_pool.bins import bin_edges


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
