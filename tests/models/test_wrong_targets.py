"""What no network can learn is refused before the first loss, by every model: it would learn something else."""

import pytest
import torch

from resdet.build import build_classifier, build_detector, build_localizer
from resdet.build.rcnn import build_rcnn
from resdet.config import ClsConfig, DetConfig, LocConfig, RCNNConfig
from resdet.settings import override
from resdet.structures import ImageBatch, Target

CLASSES, SIDE = 3, 64
SMALL = ("model.backbone.depth=18", "model.backbone.width=8")
MODELS = {
    "classifier": (ClsConfig, build_classifier, ()),
    "localizer": (
        LocConfig,
        build_localizer,
        ("model.neck=8", "model.class_weight=0"),
    ),  # without cross entropy's check
    "pcr": (LocConfig, build_localizer, ("model.method=pcr", "model.neck=8")),
    "rcnn": (RCNNConfig, build_rcnn, ("model.size=32", "model.pad=2", "model.crops_per_image=2")),
    "detector": (DetConfig, build_detector, ("model.rpn_channels=16", "model.proposals=20")),
}
BOX = (10.0, 10.0, 50.0, 40.0)


def losses(name, label=1, box=BOX, sizes=(), proposal=(0.0, 0.0, 30.0, 30.0)):
    """Of two images, the first as it should be."""
    torch.manual_seed(0)
    config, build, words = MODELS[name]
    model = build(override(config, {}, (*SMALL, *words), "test"), CLASSES)
    targets = [Target(of, torch.tensor([row]), torch.tensor([of])) for of, row in ((0, BOX), (label, box))]
    proposals = [torch.tensor([row]) for row in (BOX, proposal)] if name in ("rcnn", "detector") else []
    images = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    return model(ImageBatch(images, tuple(targets), (0, 1), sizes, tuple(proposals)))


of_each = pytest.mark.parametrize("name", MODELS)
of_each_with_boxes = pytest.mark.parametrize("name", [name for name in MODELS if name != "classifier"])


@of_each
@pytest.mark.parametrize("label", [CLASSES, -1, -100])
def test_labels_that_are_no_class(name, label):
    with pytest.raises(ValueError, match=rf"labels must be 0 \.\. 2, got \[?{label}\]? (in|for) image 1"):
        losses(name, label)


@of_each_with_boxes
@pytest.mark.parametrize("side", [float("nan"), float("inf")])
def test_boxes_that_are_not_finite(name, side):
    with pytest.raises(ValueError, match=rf"boxes to be learnt must be finite, got \[0\.0, 0\.0, {side}, 9\.0\]"):
        losses(name, box=(0.0, 0.0, side, 9.0))


@pytest.mark.parametrize("name", ["rcnn", "detector"])
def test_proposals_that_are_not_finite(name):
    with pytest.raises(ValueError, match=r"proposals must be finite, got \[nan, 10\.0, 20\.0, 30\.0\]"):
        losses(name, proposal=(float("nan"), 10.0, 20.0, 30.0))


@pytest.mark.parametrize("name", ["classifier", "localizer", "pcr"])
def test_images_beside_larger_ones_where_the_whole_tensor_is_looked_at(name):
    with pytest.raises(ValueError, match=r"all images must be of 64 x 64, as their tensor, got \(48, 64\)"):
        losses(name, sizes=((64, 64), (48, 64)))


@of_each
def test_what_is_right_is_learnt(name):
    sizes = ((64, 64), (48, 64) if name in ("rcnn", "detector") else (64, 64))
    assert all(loss.isfinite() for loss in losses(name, sizes=sizes).values())
