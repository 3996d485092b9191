"""Timing a detector beside one of torchvision's with the same weights.

On a GPU "fp32" is timed with torch's default, convolutions in TF32; answers are compared without TF32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from resdet.backbones.folding import fold_batch_norm, hold_convolutions
from resdet.benchmarks.agreement import near, same
from resdet.benchmarks.timing import Row, compare
from resdet.build import Detector, place
from resdet.config import DetConfig
from resdet.postprocess.detections import Regions
from resdet.precision import autocast
from resdet.structures import Detections


@contextmanager
def without_tf32() -> Iterator[None]:
    """Convolutions on a GPU compute in float32 within, not in TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def detecting(
    model: Detector,
    peer: nn.Module,
    config: DetConfig,
    images: Tensor,
    device: torch.device,
    what: str,
    whose: str,
    runs: int,
) -> Iterator[Row]:
    """Time detecting in fp32, then in bf16 beside the peer in fp32 and in autocast.

    Args:
        model: is changed: it is made ready to be run, on ``device``.
        peer: a detector of torchvision's form with the same weights, in evaluation mode.
        config: of ``model``.
        images: ``(B, 3, H, W)`` uint8.
        what: the network and its input, for the rows' names.
        whose: what the peer is called.
    """
    peer = peer.to(device)
    fold_batch_norm(model.eval())
    ours = {"fp32": place(model, device, channels_last=True)}
    ours["bf16"] = copy.deepcopy(ours["fp32"])
    hold_convolutions(ours["bf16"].backbone, torch.bfloat16)
    images, test = images.to(device), config.test
    floats = list(images.float() / 255)
    sizes = [(images.shape[3], images.shape[2])] * len(images)

    @torch.inference_mode()
    def mine(precision: str) -> list[Detections]:
        with autocast(device, precision):
            return ours[precision].detect(images, sizes, test.score_threshold, test.nms_iou, test.max_detections)

    @torch.inference_mode()
    def theirs(precision: str) -> list[Detections]:
        with autocast(device, precision):
            found = peer(floats)
        return [Detections(one["boxes"].float(), one["scores"].float(), one["labels"] - 1) for one in found]

    @torch.inference_mode()
    def judge(precision: str) -> list[Regions]:
        net = ours[precision]
        with autocast(device, precision):
            return net.regions(net.features(images, sizes), proposals, sizes)

    with torch.inference_mode(), without_tf32():
        net = ours["fp32"]
        proposals = [found.boxes for found in net.propose(net.features(images, sizes), sizes)]
    with without_tf32():
        alike = all(same(*pair) for pair in zip(mine("fp32"), theirs("fp32"), strict=True))
        close = all(near(*pair) for pair in zip(judge("bf16"), judge("fp32"), strict=True))
    both = alike and close  # in bf16 ours is held to ours in fp32, and that to the peer's
    for own, other, agree in (("fp32", "fp32", alike), ("bf16", "fp32", both), ("bf16", "bf16", both)):
        name = f"detecting in {own} ({what})"
        work = partial(_columns, mine, own), f"{whose}, {other}", partial(_columns, theirs, other)
        yield compare("det", name, *work, device=device, runs=runs, agree=agree)


def _columns(detect: Callable[[str], list[Detections]], precision: str) -> list[Tensor]:
    return [column for found in detect(precision) for column in (found.boxes, found.scores, found.labels)]
