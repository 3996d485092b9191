"""What the Triton kernels of RoI pool and RoI align share: a region as it lies in memory, and which are an image's."""

# mypy: disable-error-code="no-untyped-def"
# (what a kernel takes is a tensor to its caller and a pointer, a block or a constant within)
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from resdet.ops.regions import FARTHEST

_FARTHEST = tl.constexpr(FARTHEST)


@triton.jit
def load_region(rois, r, images, scale):
    """Image, corners in cells, and 1 where it can be read, else 0 and image 0 and zeros: :func:`regions.in_cells`.

    A number, not a truth value: Triton's interpreter cannot spread one of those over a block.
    """
    image = tl.load(rois + r * 5)
    x1 = tl.load(rois + r * 5 + 1) * scale
    y1 = tl.load(rois + r * 5 + 2) * scale
    x2 = tl.load(rois + r * 5 + 3) * scale
    y2 = tl.load(rois + r * 5 + 4) * scale
    near = (tl.abs(x1) < _FARTHEST) & (tl.abs(y1) < _FARTHEST) & (tl.abs(x2) < _FARTHEST) & (tl.abs(y2) < _FARTHEST)
    usable = near & (image >= 0) & (image < images)  # all false for NaN
    image = tl.where(usable, image, 0.0).to(tl.int64)
    x1, y1 = tl.where(usable, x1, 0.0), tl.where(usable, y1, 0.0)
    x2, y2 = tl.where(usable, x2, 0.0), tl.where(usable, y2, 0.0)
    return image, x1, y1, x2, y2, tl.where(usable, 1, 0)


def as_kernels_read(rois: Tensor) -> Tensor:
    """Regions in the one form that the kernels know."""
    return rois.float().contiguous()


def by_image(rois: Tensor, images: int) -> tuple[Tensor, Tensor]:
    """Numbers of the regions in order of image, each image's in their own order, and where each image's begin:
    ``(R,)`` and ``(images + 1,)`` int64."""
    image, order = rois[:, 0].sort(stable=True)  # NaN comes last
    return order, torch.searchsorted(
        image.contiguous(), torch.arange(images + 1, device=rois.device, dtype=image.dtype)
    )
