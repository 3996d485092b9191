"""A detector on a feature pyramid: images alone and in a batch, what learns, that it can; parity is in tests/zoo."""

import pytest
import torch
from tiny_faster_rcnn import CLASSES, MIXED, SIZES, alone, batch, check_alike_alone, detector, squares, target

from resdet.boxes.overlap import pairwise_iou
from resdet.config import DetConfig
from resdet.engine.batch_norm import recompute
from resdet.errors import UsageError
from resdet.settings import override

PYRAMID = (
    "model.neck=fpn",
    "model.fpn.channels=16",
    "model.fpn.box_channels=32",
    "model.rpn_channels=16",
    "model.anchor_sizes=[8, 16, 32, 48, 64]",
    "model.pool_size=4",
)


@pytest.mark.parametrize("words", [(), ("model.fpn.norm=true", "model.rpn_depth=2", "model.fpn.box_convs=1")], ids=str)
def test_an_image_has_the_same_detections_alone_and_in_a_batch(words):
    check_alike_alone(detector(*PYRAMID, *words), batch(*MIXED, sizes=SIZES, height=64, width=128))


def test_thin_regions_at_the_edge_are_the_same_alone_and_in_a_batch():
    """torchvision's rule makes a region under a cell one cell, which reaches beyond the edge."""
    model = detector(*PYRAMID, "model.pool_aligned=false", "model.pool_sampling=2")
    images = batch(*MIXED, sizes=((96, 64), (64, 32), (90, 64)))
    thin = torch.tensor([[62.5, 4, 64, 30], [5, 31, 60, 32], [30, 10, 31, 12]])
    one = alone(images, 1)
    none = torch.zeros(0, 4)
    with torch.no_grad():
        expected = model.pooled(model.features(one.images, one.sizes), [thin], one.full_sizes)
        found = model.pooled(model.features(images.images, images.sizes), [none, thin, none], images.sizes)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("targets", [MIXED, (target(), target(), target())], ids=["some without", "none with objects"])
def test_every_parameter_is_reached_with_objects_and_without(targets):
    model = detector(*PYRAMID, "model.context=true")
    losses = model(batch(*targets, sizes=SIZES))
    assert set(losses) == {"object", "proposal", "class", "box"}
    sum(losses.values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert model.backbone.conv1.weight.grad.any()
    assert model.neck.box_head[1].weight.grad.any()
    assert all(block[0].weight.grad.any() for block in model.neck.layer_blocks)


def test_learns_the_boxes_of_its_own_training_images():
    """With a lower rate at the end and training's statistics: of 12 runs whose weights differ by 1e-6 all pass."""
    model = detector(*PYRAMID, "model.anchor_sizes=[8, 16, 32, 64, 128]", "test.proposals=20", lively=False)
    images = squares()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    for step in range(180):
        torch.manual_seed(step)
        optimizer.param_groups[0]["lr"] = 0.03 if step < 120 else 0.003
        optimizer.zero_grad()
        sum(model.train()(images).values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    recompute(model, [images] * 4, torch.device("cpu"))  # the running statistics have not caught up with 180 steps
    with torch.no_grad():
        found = model.detect(images.images, images.sizes, score_threshold=0.5)
    for detections, wanted in zip(found, images.targets, strict=True):
        overlap = pairwise_iou(wanted.boxes, detections.boxes) * (wanted.labels[:, None] == detections.labels)
        assert (overlap.amax(1) > 0.5).all()


def test_settings_that_a_pyramid_cannot_have_are_refused():
    for words, said in (
        (("model.anchor_sizes=[32, 64]",), "fpn has 5 levels, one size each"),
        (("model.pool=pool",), "model.pool must be align"),
        (("model.schedule=alternating",), "model.schedule must be joint"),
        (("model.backbone.stem=3x3",), "model.backbone.stem=7x7"),
    ):
        with pytest.raises(UsageError, match=said):
            override(DetConfig, {}, (*PYRAMID, *words), "test")
    assert detector(*PYRAMID).head.classes == CLASSES
