"""A detector on a feature pyramid, R50-FPN, beside torchvision's own with the same weights."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.resnet import Bottleneck

from resdet.benchmarks.det import CLASSES
from resdet.benchmarks.detecting import detecting
from resdet.benchmarks.photographs import noise
from resdet.benchmarks.timing import Row
from resdet.build import open_model

NAME = "torchvision:FasterRCNN_ResNet50_FPN_Weights.COCO_V1"


def rows(
    device: torch.device, *, width: int = 1056, height: int = 800, proposals: int = 1000, runs: int = 3
) -> Iterator[Row]:
    """Detecting in one image, fp32 and bf16; sides are multiples of 32, as both fill them up otherwise."""
    torch.manual_seed(0)
    image = noise(width, height)
    peer = _drawn_peer(image, proposals)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fpn.pth"
        torch.save(peer.state_dict(), file)
        ours: Any = open_model(f"{NAME}={file}", (f"test.proposals={proposals}",))
    what = f"R50-FPN, {height}x{width}, {proposals} proposals"
    yield from detecting(ours.model, peer, ours.config, image, device, what, "torchvision's", runs)


@torch.no_grad()
def _drawn_peer(image: Tensor, proposals: int) -> nn.Module:
    """torchvision's detector with weights at random that tell regions apart, in evaluation mode.

    Batch norm has the image's statistics, residuals are smaller than what they are added to, siblings answer
    differently; see :func:`resdet.benchmarks.det.drawn_detector`.
    """
    sides = {"min_size": min(image.shape[2:]), "max_size": max(image.shape[2:])}
    net = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=CLASSES + 1, rpn_post_nms_top_n_test=proposals, **sides
    )
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average
        elif isinstance(module, Bottleneck):
            nn.init.constant_(module.bn3.weight, 0.25)
    net.train()
    net.backbone(net.transform([image[0].float() / 255])[0].tensors)
    nn.init.normal_(net.rpn.head.cls_logits.weight, std=0.02)
    nn.init.normal_(net.roi_heads.box_predictor.cls_score.weight, std=0.12)
    nn.init.normal_(net.roi_heads.box_predictor.bbox_pred.weight, std=0.01)
    return net.eval()
