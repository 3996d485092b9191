"""What a model says that its losses are divided by, before it looks at an image, is what they are divided by."""

import pytest
import torch

from resdet import losses
from resdet.build import build_localizer, build_rcnn
from resdet.config import LocConfig, RCNNConfig
from resdet.settings import override
from resdet.structures import ImageBatch, Target

SMALL = ("model.backbone.depth=18", "model.backbone.width=8")
LOC = (*SMALL, "model.neck=8", "data.size=64", "model.anchor_sizes=[16, 32]")
KINDS = {
    "rpn": (LocConfig, build_localizer, LOC),
    "rpn, every class": (LocConfig, build_localizer, (*LOC, "model.class_loss=all")),
    "rpn, more than there are": (LocConfig, build_localizer, (*LOC, "model.anchors_per_image=1000")),
    "rpn, conv4": (LocConfig, build_localizer, (*LOC, "model.feature=conv4")),
    "rpn, dilated": (LocConfig, build_localizer, (*LOC, "model.backbone.dilate_conv5=true")),
    "rpn, small images": (LocConfig, build_localizer, (*LOC, "model.backbone.stem=3x3")),
    "pcr": (LocConfig, build_localizer, (*SMALL, "model.neck=8", "data.size=64", "model.method=pcr")),
    "rcnn": (RCNNConfig, build_rcnn, (*SMALL, "model.size=32", "model.pad=2", "model.crops_per_image=3")),
    "rcnn, every class": (
        RCNNConfig,
        build_rcnn,
        (*SMALL, "model.size=32", "model.pad=2", "model.class_loss=all", "model.crops_per_image=2"),
    ),
}


def batch():
    """Of odd sides; one image without an object, one with two, one whose box is of another class than the image."""
    boxes = torch.tensor([[4.0, 6, 30, 41], [20, 3, 50, 37]])
    targets = (
        Target(0, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)),
        Target(1, boxes, torch.tensor([1, 1])),
        Target(2, boxes[:1], torch.tensor([0])),
    )
    pixels = torch.randint(0, 256, (3, 3, 47, 61), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    near = boxes.repeat(6, 1) + torch.arange(12)[:, None]
    return ImageBatch(pixels, targets, (0, 1, 2), proposals=(near, near, near))


@pytest.mark.parametrize("kind", KINDS)
def test_what_counts_is_known_before_an_image_is_looked_at(kind, monkeypatch):
    config, build, words = KINDS[kind]
    torch.manual_seed(0)
    model = build(override(config, {}, words, "test"), 3)
    divided = {}

    def logistic(logits, label):
        divided["object"] = int(((label if label.ndim == 1 else label[:, 0]) >= 0).sum())
        return logits.sum()

    def smooth_l1(deltas, wanted, counted, beta):
        divided["box"] = int(counted.sum())
        return deltas.sum()

    monkeypatch.setattr(losses, "logistic", logistic)
    monkeypatch.setattr(losses, "smooth_l1", smooth_l1)
    for seed in range(5):
        torch.manual_seed(seed)  # what is drawn decides nothing
        model(batch())
        torch.manual_seed(seed + 100)
        assert {name: int(count) for name, count in model.counted(batch()).items()} == divided
    assert divided["box"]
