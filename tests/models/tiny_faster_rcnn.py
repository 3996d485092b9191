"""A small detector with drawn weights, batches of drawn squares, and what it should say of them."""

import torch

from resdet.build import build_detector
from resdet.config import DetConfig
from resdet.settings import override
from resdet.structures import ImageBatch, Target

CLASSES = 3
TINY = (
    "model.backbone.depth=18",
    "model.backbone.width=8",
    "model.rpn_channels=16",
    "model.anchor_sizes=[16, 32, 48]",
    "model.pool_size=6",
    "model.min_side=2",
    "model.inside_anchors=false",
    "model.proposals=60",
    "model.anchors_per_image=64",
    "model.regions_per_image=16",
    "test.min_side=2",
    "test.proposals=30",
)


def detector(*words, classes=CLASSES, seed=0, lively=True):
    """Weights at random; ``lively``: batch norm turns zeros into something, and siblings' answers are not all alike."""
    torch.manual_seed(seed)
    model = build_detector(override(DetConfig, {}, (*TINY, *words), "test"), classes)
    for module in model.modules() if lively else ():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias, std=0.2)
            torch.nn.init.normal_(module.running_mean, std=0.2)
    if lively:
        torch.nn.init.normal_(model.head.reg.weight, std=0.02)
        torch.nn.init.normal_(model.rpn.reg.weight, std=0.05)
    return model.eval()


def target(*boxes, labels=None, ignored=None):
    labels = torch.tensor(labels or [0] * len(boxes), dtype=torch.int64)
    flags = None if ignored is None else torch.tensor(ignored)
    return Target(-1, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), labels, flags)


def batch(*targets, sizes=None, height=64, width=96):
    """Noise, zeros beyond each image's size."""
    draw = torch.Generator().manual_seed(3)
    images = torch.zeros(len(targets), 3, height, width, dtype=torch.uint8)
    sizes = sizes or ((width, height),) * len(targets)
    for image, (w, h) in zip(images, sizes, strict=True):
        image[:, :h, :w] = torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=draw)
    return ImageBatch(images, targets, tuple(range(len(targets))), tuple(sizes))


def alone(images, i):
    """Image ``i`` of a batch without the others and without padding."""
    (width, height) = images.sizes[i]
    pixels = images.images[i : i + 1, :, :height, :width]
    return ImageBatch(pixels, images.targets[i : i + 1], images.indices[i : i + 1], images.sizes[i : i + 1])


def check_alike_alone(model, images):
    """Each image has the same detections alone and in the batch."""
    with torch.no_grad():
        together = model.detect(images.images, images.sizes, score_threshold=0.2)
        for i, found in enumerate(together):
            one = alone(images, i)
            (expected,) = model.detect(one.images, one.sizes, score_threshold=0.2)
            assert len(expected) > 3
            torch.testing.assert_close(found.boxes, expected.boxes, atol=5e-3, rtol=1e-4)
            torch.testing.assert_close(found.scores, expected.scores, atol=1e-4, rtol=1e-4)
            assert torch.equal(found.labels, expected.labels)
            assert (found.boxes[:, 2:] <= torch.tensor(images.sizes[i])).all()


def squares(side=96):
    """Three images of bright squares on dark noise, a class a colour; one holds two, one of another size."""
    places = [[(8, 12, 40, 44, 0)], [(48, 16, 88, 56, 1), (12, 52, 44, 84, 2)], [(24, 24, 56, 56, 2)]]
    sizes = ((side, side), (side, side), (80, 72))
    draw = torch.Generator().manual_seed(0)
    images = torch.zeros(3, 3, side, side, dtype=torch.uint8)
    for image, rows, (w, h) in zip(images, places, sizes, strict=True):
        image[:, :h, :w] = torch.randint(30, 70, (3, h, w), dtype=torch.uint8, generator=draw)
        for x1, y1, x2, y2, label in rows:
            image[label, y1:y2, x1:x2] = 230
    targets = tuple(target(*[r[:4] for r in rows], labels=[r[4] for r in rows]) for rows in places)
    return ImageBatch(images, targets, (0, 1, 2), sizes)


MIXED = (
    target((10, 8, 45, 40), labels=[1]),
    target(),
    target((4, 4, 20, 20), (30, 10, 70, 60), (40, 30, 60, 50), labels=[0, 2, 1]),
)
SIZES = ((96, 64), (70, 45), (90, 64))
