"""How well the anchors of a config fit the boxes of a data set, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resdet.backbones import cifar
from resdet.backbones.resnet import strides_of
from resdet.boxes.anchors import anchor_shapes
from resdet.config import DetConfig, LocConfig
from resdet.heads.fpn import level_strides

AT = (0.5, 0.7)  # IoU: what counts as found by VOC and ILSVRC, and what makes an anchor positive


class Anchors(NamedTuple):
    """Where a network has anchors, and how an image is scaled for it."""

    name: str  # for the report
    shapes: NDArray[np.float64]  # (A, 2) width, height, pixels of the scaled image
    strides: NDArray[np.float64]  # (A,)
    offset: float  # of a centre in its cell, as a share of it
    shorter: int  # pixels of the scaled image's shorter side
    longer: float  # pixels that its longer side may have at most


def anchors_of_det(config: DetConfig, name: str) -> Anchors:
    """Those of a detector, on test images."""
    how = config.model
    maps = strides_of(how.backbone.stem, how.backbone.dilate_conv5)
    strides = [maps["conv4"]] * len(how.anchor_sizes) if how.neck == "c4" else level_strides(maps)
    shapes = anchor_shapes(how.anchor_sizes, how.anchor_ratios, how.anchor_rounded)
    each = np.repeat(np.array(strides, np.float64), len(how.anchor_ratios))
    return Anchors(name, _sides(shapes.numpy()), each, how.anchor_offset, config.test.shorter, config.test.longer)


def anchors_of_loc(config: LocConfig, name: str) -> Anchors:
    """Those of a per-class RPN, on images as large as in the 1-crop test, but whole."""
    how = config.model
    of_cifar = how.backbone.family == "cifar"
    maps = cifar.STRIDES if of_cifar else strides_of(how.backbone.stem, how.backbone.dilate_conv5)
    shapes = _sides(anchor_shapes(how.anchor_sizes, how.anchor_ratios).numpy())
    return Anchors(name, shapes, np.full(len(shapes), float(maps[how.feature])), 0.5, config.data.resize, math.inf)


def best_overlaps(anchors: Anchors, boxes: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(M,)``: the IoU of each box with the anchor that fits it best.

    Of the anchors of one shape the best has the nearest centre, along each axis alone: no grid need be laid out.

    Args:
        boxes: ``(M, 4)`` xyxy, pixels of the image.
        sizes: ``(M, 2)`` width and height of each box's image.
    """
    scale = np.minimum(anchors.shorter / sizes.min(1), anchors.longer / sizes.max(1))[:, None]  # (M, 1)
    boxes, sizes = boxes * scale, sizes * scale
    shared = np.ones((len(boxes), len(anchors.shapes)))  # (M, A)
    for axis in range(2):
        low, high = boxes[:, axis : axis + 1], boxes[:, axis + 2 : axis + 3]  # (M, 1)
        last = np.maximum(np.ceil(sizes[:, axis : axis + 1] / anchors.strides) - 1, 0)  # (M, A) cell
        cell = np.clip(np.round((low + high) / 2 / anchors.strides - anchors.offset), 0, last)
        centre, half = (cell + anchors.offset) * anchors.strides, anchors.shapes[:, axis] / 2
        shared *= np.maximum(np.minimum(high, centre + half) - np.maximum(low, centre - half), 0)
    own = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))[:, None]
    return (shared / (own + anchors.shapes.prod(1) - shared)).max(1)


def recall(anchors: Anchors, boxes: NDArray[np.float64], sizes: NDArray[np.float64]) -> dict[str, object]:
    """The share of boxes, in percent, that some anchor fits as well as :data:`AT`, and the mean of the best IoUs."""
    if not len(boxes):
        return {"anchors": anchors.name, "boxes": 0}
    best = np.concatenate(
        [best_overlaps(anchors, boxes[i : i + 65536], sizes[i : i + 65536]) for i in range(0, len(boxes), 65536)]
    )
    shares = {f"recall_{at:g}": round(100 * float((best >= at).mean()), 2) for at in AT}
    return {"anchors": anchors.name, "boxes": len(boxes), **shares, "mean_iou": round(float(best.mean()), 4)}


def in_words(found: Mapping[str, object]) -> str:
    """What :func:`recall` found, for people."""
    shares = ", ".join(f"{found[f'recall_{at:g}']} % of boxes at IoU {at:g}" for at in AT)
    return f"anchors of {found['anchors']} reach {shares}; mean of the best {found['mean_iou']}"


def _sides(shapes: NDArray) -> NDArray[np.float64]:
    return (shapes[:, 2:] - shapes[:, :2]).astype(np.float64)
