"""NMS as PyTorch knows it: an operator whose answer has a length of its own, without a gradient.

``torch.compile`` leaves it whole where it may trace lengths that data decide:
``torch._dynamo.config.capture_dynamic_output_shape_ops = True``.  Under autocast overlaps are computed in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from resdet.ops.kernels import runs_triton
from resdet.ops.nms import cpu
from resdet.tracing import is_traced


def suppress(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float, most: int | None) -> Tensor:
    """See :func:`resdet.ops.batched_nms`."""
    if runs_triton(boxes):
        from resdet.ops.nms import triton  # here, so that a CPU never imports Triton

        return triton.batched_nms(boxes, scores, groups, iou, most)
    with torch.autocast(boxes.device.type, enabled=False):
        return cpu.batched_nms(boxes, scores, groups, iou, most)


def run(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float, most: int | None) -> Tensor:
    """The operator where torch traces, else its work alone: see :func:`resdet.tracing.is_traced`."""
    if is_traced(boxes):
        return batched_nms(boxes, scores, groups, iou, most)
    with torch.no_grad():
        return suppress(boxes, scores, groups, iou, most)


batched_nms = torch.library.custom_op("resdet::batched_nms", suppress, mutates_args=())


@batched_nms.register_fake
def _(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float, most: int | None) -> Tensor:
    return groups.new_empty(torch.library.get_ctx().new_dynamic_size())
