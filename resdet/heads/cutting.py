"""RoI align on a padded batch that gives each region what its image's own map would give."""

from __future__ import annotations

import torch
from torch import Tensor

from resdet import ops


def align_alone(
    feature: Tensor,
    rois: Tensor,
    size: int,
    stride: int,
    sampling: int = 0,
    aligned: bool = True,
    step: int = 1,
    ends: Tensor | None = None,
) -> Tensor:
    """:func:`resdet.ops.roi_align` on maps of a batch, each region as if its image were alone.

    The maps repeat each image's last row and column once (:func:`resdet.backbones.edges.edges_repeated`).  A region
    within its image reads no further, except by the older rule (``aligned`` false), where it counts as a cell wide at
    least: a thinner one at the right or lower edge reaches beyond, where an image alone gives 0.  Those few regions are
    cut again, out of their image's own map.

    Args:
        ends: ``(B, 2)`` width and height of each image's own map, cells; None: they fill the feature.
    """
    found = ops.roi_align(feature, rois, size, stride, sampling, aligned, step)
    if aligned or ends is None:
        return found
    image = rois[:, 0].long()
    sides = (rois[:, 3:] - rois[:, 1:3]) / stride
    reaches = rois[:, 1:3] / stride + sides.clamp(min=1)  # (R, 2)
    beyond = ((reaches > ends[image]) & (sides < 1)).any(1)
    for i in image[beyond].unique().tolist():
        (rows,) = (beyond & (image == i)).nonzero(as_tuple=True)
        width, height = ends[i].long().tolist()
        alone = torch.cat((torch.zeros_like(rois[rows, :1]), rois[rows, 1:]), 1)
        own = feature[i : i + 1, :, :height, :width]
        again = ops.roi_align(own, alone, size, stride, sampling, aligned, step)
        found = found.index_put((rows,), again)
    return found
