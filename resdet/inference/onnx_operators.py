"""The operators that an exported detector needs beyond torch's own, and what each is in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from resdet.ops import batched_nms

LEAST = -3e38  # scores below it take no part


@torch.library.custom_op("resdet::kept_of_each", mutates_args=())
def kept_of_each(boxes: Tensor, scores: Tensor, iou: float, most: int) -> Tensor:
    """NMS within each group whose output has the shape of the scores, as an exported program needs.

    Args:
        boxes: ``(G, N, 4)`` float32 xyxy.
        scores: ``(G, N)``; minus infinity takes no part.
        iou: intersection over union above which the lower of two boxes is suppressed.
        most: keep this many of each group, the best of what is left.

    Returns:
        ``(G, N)`` float32: 1 where a box is kept, else 0.
    """
    groups = torch.arange(boxes.shape[0], device=boxes.device)[:, None].expand(scores.shape)
    scored = torch.where(scores > LEAST, scores, float("nan"))  # which NMS leaves out
    kept = batched_nms(boxes.flatten(0, 1), scored.flatten(), groups.flatten(), iou, most)
    return torch.zeros_like(scores).flatten().index_fill(0, kept, 1.0).view_as(scores)


@kept_of_each.register_fake
def _(boxes: Tensor, scores: Tensor, iou: float, most: int) -> Tensor:
    return torch.empty_like(scores)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """From our operators to ONNX's, for ``torch.onnx.export``; needs onnxscript.

    ONNX's RoiAlign and MaxRoiPool are those of Detectron and Caffe, as torchvision's and ours are.
    """
    from onnxscript import opset18

    onnx: Any = opset18  # its types are narrower than what it takes

    def ints(*values: int) -> Any:
        return onnx.Constant(value_ints=values)

    def kept(boxes: Any, scores: Any, iou: float, most: int) -> Any:
        one_class = onnx.Unsqueeze(scores, ints(1))  # (G, 1, N)
        limits = ints(most), onnx.Constant(value_floats=[iou]), onnx.Constant(value_floats=[LEAST])
        rows = onnx.NonMaxSuppression(boxes, one_class, *limits)  # (n, 3): group, class, box
        places = onnx.Gather(rows, ints(0, 2), axis=1)
        ones = onnx.Expand(onnx.Constant(value_float=1.0), onnx.Shape(places, start=0, end=1))
        zeros = onnx.Expand(onnx.Constant(value_float=0.0), onnx.Shape(scores))
        return onnx.ScatterND(zeros, places, ones)

    def align(features: Any, rois: Any, size: int, stride: float, sampling: int, aligned: bool, step: int) -> Any:
        assert step == 1  # ONNX has no other, and none is asked for while a program is exported
        image = onnx.Cast(onnx.Gather(rois, onnx.Constant(value_int=0), axis=1), to=7)  # int64
        return onnx.RoiAlign(
            features,
            onnx.Slice(rois, ints(1), ints(5), ints(1)),
            image,
            coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
            output_height=size,
            output_width=size,
            sampling_ratio=sampling,
            spatial_scale=1 / stride,
        )

    def pool(features: Any, rois: Any, size: int, stride: float) -> Any:
        return onnx.MaxRoiPool(features, rois, pooled_shape=[size, size], spatial_scale=1 / stride)

    ours = torch.ops.resdet
    return {ours.kept_of_each.default: kept, ours.roi_align.default: align, ours.roi_pool.default: pool}
