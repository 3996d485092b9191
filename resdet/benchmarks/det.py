"""The whole detector, R50-C4, beside the same network with the same weights put together from torchvision's parts.

The image has 608 rows: torchvision fills 600 up to a multiple of 32 and reads on beyond the edge, so that the two
would see different images.  In training everything that can be drawn is drawn, since a sample would be each one's own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from resdet.backbones.blocks import BasicBlock, Bottleneck
from resdet.backbones.resnet import freeze_batch_norm, normalise
from resdet.benchmarks.agreement import learn_alike
from resdet.benchmarks.detecting import detecting, without_tf32
from resdet.benchmarks.photographs import noise
from resdet.benchmarks.timing import Row, compare
from resdet.benchmarks.torchvision_detector import SETTINGS, torchvision_detector
from resdet.build import Detector, build_detector, place
from resdet.config import DetConfig
from resdet.precision import autocast
from resdet.settings import override
from resdet.structures import ImageBatch, Target

CLASSES = 20
OBJECTS = ((0.12, 0.13, 0.37, 0.43), (0.5, 0.5, 0.87, 0.92), (0.06, 0.66, 0.22, 0.95))  # of the image's sides
PEER = "torchvision's parts"


def rows(
    device: torch.device,
    *,
    depth: int = 50,
    width: int = 800,
    height: int = 608,
    regions: int = 300,
    runs: int = 3,
    batches: Sequence[int] = (),
) -> Iterator[Row]:
    """Detecting, then training steps, fp32 and bf16.

    Args:
        regions: proposals of an image in testing, regions that are learnt from in training.
        batches: how many images are taken at once; none: 1, and on a GPU 8 too, since one image leaves it waiting for
            the host most of the time, which hides what the networks cost.
    """
    torch.manual_seed(0)
    config = settings_of(depth, regions, min(width, height), max(width, height))
    first = noise(width, height)
    ours = drawn_detector(config, first)
    for count in batches or ((1, 8) if device.type == "cuda" else (1,)):
        images = torch.cat((first, *(noise(width, height) for _ in range(count - 1))))
        several = f"{count} images of " if count > 1 else ""
        what = f"R{depth}-C4, {several}{height}x{width}, {regions} regions"
        peer = torchvision_detector(ours, config, nn.BatchNorm2d)  # its faster one in testing
        yield from detecting(copy.deepcopy(ours), peer, config, images, device, what, PEER, runs)
        yield from _training(copy.deepcopy(ours), config, images, device, what, runs)


def settings_of(depth: int, regions: int, shorter: int, longer: int) -> DetConfig:
    """A detector on conv4 that is torchvision's too, and learns from all that there is."""
    channels = 1024 if depth >= 50 else 256  # conv4's: torchvision's RPN keeps them
    everything = regions + len(OBJECTS)
    words = (
        f"model.backbone.depth={depth}",
        f"model.rpn_channels={channels}",
        f"data.shorter={shorter}",
        f"data.longer={longer}",
        f"test.proposals={regions}",
        f"model.proposals={regions}",
        "model.pre_nms=6000",
        f"model.regions_per_image={everything}",
        "model.region_positive=1",
        "model.anchors_per_image=20000",
        "model.anchor_positive=1",
    )
    return override(DetConfig, {}, (*SETTINGS, *words), "benchmark")


@torch.no_grad()
def drawn_detector(config: DetConfig, image: Tensor) -> Detector:
    """Weights at random that tell regions apart: batch norm has the image's statistics, siblings answer differently."""
    model = build_detector(config, CLASSES)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average
        elif isinstance(module, Bottleneck | BasicBlock):
            # residuals are smaller than what they are added to (Sec. 4.2); else rounding would grow with each block
            last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
            nn.init.constant_(last.weight, 0.25)
    sizes = [(image.shape[3], image.shape[2])]
    model.backbone.train()
    conv4 = model.backbone.trunk(normalise(image, model.mean, model.std))
    corner = torch.rand(40, 2) * torch.tensor(sizes) * 0.7
    rois = torch.cat((torch.zeros(40, 1), corner, corner + 20 + torch.rand(40, 2) * 200), 1)
    model.neck.vectors(model.backbone, [conv4], rois)
    nn.init.normal_(model.rpn.cls.weight, std=0.02)
    nn.init.normal_(model.head.cls.weight, std=0.12 * (2048 / model.neck.vector_channels) ** 0.5)
    nn.init.normal_(model.head.reg.weight, std=0.01)
    return model.eval()


def _training(
    model: Detector, config: DetConfig, images: Tensor, device: torch.device, what: str, runs: int
) -> Iterator[Row]:
    peer = torchvision_detector(model, config, FrozenBatchNorm2d).to(device).train()
    ours = place(model, device, channels_last=True).train()
    freeze_batch_norm(ours)
    width, height, count = images.shape[3], images.shape[2], len(images)
    boxes = torch.tensor(OBJECTS) * torch.tensor([width, height, width, height])
    labels = torch.arange(len(OBJECTS))
    targets = (Target(-1, boxes, labels),) * count
    batch = ImageBatch(images, targets, tuple(range(count)), ((width, height),) * count).to(device)
    floats = list(images.to(device).float() / 255)
    wanted = [{"boxes": boxes.to(device), "labels": (labels + 1).to(device)}] * count

    def step(net: nn.Module, answer: Callable[[], dict[str, Tensor]], precision: str, watched: list[Any]) -> list[Any]:
        net.zero_grad(set_to_none=True)
        with autocast(device, precision):
            losses = answer()
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        total.backward()
        return [total.detach(), *(p.grad for p in watched)]

    last: Any = ours.backbone.layer4[-1]
    mine = partial(step, ours, lambda: ours(batch), watched=[last.conv2.weight, ours.rpn.neck.weight])
    watched = [peer.roi_heads.box_head[0][-1].conv2.weight, peer.rpn.head.conv[0][0].weight]
    theirs = partial(step, peer, lambda: peer(floats, wanted), watched=watched)
    with without_tf32():
        exact = theirs(precision="fp32")
        alike = learn_alike(mine(precision="fp32"), exact, loss=1e-3, angle=1e-3)
    close = learn_alike(mine(precision="bf16"), exact, loss=0.05, angle=0.1)
    for own, other, agree in (("fp32", "fp32", alike), ("bf16", "fp32", close), ("bf16", "bf16", close)):
        name = f"training step in {own} ({what})"
        work = partial(mine, precision=own), f"{PEER}, {other}", partial(theirs, precision=other)
        yield compare("det", name, *work, device=device, runs=runs, agree=agree)
