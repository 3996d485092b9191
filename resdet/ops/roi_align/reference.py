"""RoI align, to be read."""

from __future__ import annotations

import torch
from torch import Tensor

from resdet.ops.regions import accumulator
from resdet.ops.roi_align.sampling import Rule, axis_weights


def roi_align(
    features: Tensor, rois: Tensor, size: int, stride: float, sampling: int, aligned: bool, step: int = 1
) -> Tensor:
    """See :func:`resdet.ops.roi_align`; autograd goes through."""
    images, channels, height, width = features.shape
    image, y, x = axis_weights(rois, (images, height, width), Rule(size, stride, sampling, aligned))
    held = accumulator(features)
    maps, y, x = features.to(held), y.to(held)[:, ::step], x.to(held)[:, ::step]
    pooled = [y[r] @ maps[image[r]] @ x[r].T for r in range(len(rois))]  # (C, n, n) each
    none = maps[:0].sum().expand(0, channels, y.shape[1], x.shape[1])  # no region: the gradient is 0, not missing
    return (torch.stack(pooled) if pooled else none).to(features.dtype)
