"""Detecting with a small network, weights at random: the short way against the obvious one."""

import numpy as np
import pytest
import torch

from resdet.backbones.folding import fold_batch_norm, hold_convolutions
from resdet.boxes.coder import REGION, decode
from resdet.boxes.geometry import clip
from resdet.build import build_detector
from resdet.config import DetConfig, override
from resdet.data.detection import padded
from resdet.data.viewed_images import ViewedImage
from resdet.data.views import cut
from resdet.inference.det import DetProtocol, detect
from resdet.inference.pyramid import Scale, see

CPU = torch.device("cpu")
CLASSES = 3
TINY = ("model.backbone.depth=18", "model.backbone.width=8", "model.rpn_channels=8", "model.pool_size=4",
        "model.anchor_sizes=[16, 32]", "test.proposals=12", "test.min_side=2")  # fmt: skip


def network(*settings, seed=0):
    """Weights at random, but so that regions differ in what they are and where they go."""
    torch.manual_seed(seed)
    model = build_detector(override(DetConfig, {}, (*TINY, *settings), "test"), CLASSES).eval()
    noise, size = torch.randint(0, 256, (1, 3, 96, 96), dtype=torch.uint8), [(96, 96)]
    corner = torch.rand(50, 2) * 60
    boxes = torch.cat((corner, corner + torch.rand(50, 2) * 30 + 5), 1)
    with torch.no_grad():
        vectors = model.vectors(model.features(noise, size), [boxes], size)
        for layer, spread in ((model.head.cls, 2.0), (model.head.reg, 1.0)):
            layer.weight.mul_(spread / layer(vectors).std(0).mean())
            layer.bias.copy_(-layer.weight @ vectors.mean(0))
    return model


def photographs(protocol, *sizes):
    found = []
    for i, (width, height) in enumerate(sizes):
        image = np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)
        views = tuple(protocol.views(width, height))
        found.append(ViewedImage(i, width, height, views, tuple(cut(image, view) for view in views)))
    return found


def answers(models, images, protocol, **options):
    return [found.detections for found in detect(models, [images], protocol, CPU, **options)]


def assert_alike(one, other, **tolerance):
    assert one.labels.tolist() == other.labels.tolist()
    torch.testing.assert_close(one.scores, other.scores, **tolerance)
    torch.testing.assert_close(one.boxes, other.boxes, **tolerance)


@pytest.mark.parametrize("settings", [(), ("model.context=true",), ("model.pool=pool",)])
def test_without_improvements_it_is_the_detector_itself(settings):
    model, protocol = network(*settings), DetProtocol(64, 128, multiple=1)
    images = photographs(protocol, (64, 64), (128, 64), (96, 64))  # drawn as they are
    found = answers([model], images, protocol)
    with torch.inference_mode():
        batch = padded([image.pixels[0] for image in images], 1)
        expected = model.detect(batch, [(image.width, image.height) for image in images])
    for one, other in zip(found, expected, strict=True):
        assert len(one) > 5
        assert_alike(one, other, rtol=1e-4, atol=1e-3)


ALL = {"refine": "top", "vote_iou": 0.5, "scales": (32, 64, 96)}


@pytest.mark.parametrize("how", [{}, ALL], ids=["baseline", "all"])
def test_torchs_default_type_is_not_the_detectors_concern(how):
    model, protocol = network(), DetProtocol(64, 128, **how)
    images = photographs(protocol, (64, 64), (128, 64))
    expected = answers([model], images, protocol)
    torch.set_default_dtype(torch.float64)
    try:
        found = answers([model], images, protocol)
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(found, expected, strict=True):
        assert len(one) > 5
        assert_alike(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("how", [{}, {"refine": "each"}, ALL], ids=["baseline", "each", "all"])
def test_a_batch_is_answered_as_its_images_alone(how):
    model, protocol = network("model.context=true"), DetProtocol(64, 128, **how)
    images = photographs(protocol, (100, 80), (80, 100), (150, 60), (64, 64))
    together = answers([model], images, protocol)
    for image, found in zip(images, together, strict=True):
        assert_alike(found, answers([model], [image], protocol)[0], rtol=1e-3, atol=1e-2)


def test_regions_of_two_scales_are_the_larger_of_what_each_scale_says():
    model, protocol = network("model.context=true"), DetProtocol(64, 128, scales=(64, 96))
    images = photographs(protocol, (128, 64), (96, 80))
    scales = [
        Scale(padded([i.pixels[v] for i in images]), tuple((i.views[v].width, i.views[v].height) for i in images))
        for v in (0, 1)
    ]
    sizes = torch.tensor([(128.0, 64.0), (96.0, 80.0)])
    with torch.inference_mode():
        pyramid = see(model, None, scales, protocol.pooled_views, sizes)
        boxes = [proposals.boxes for proposals in pyramid.propose()]
        found = pyramid.regions(boxes)
        for row, (of_image, (probabilities, moved)) in enumerate(zip(boxes, found, strict=True)):
            for box, probability, to in zip(of_image, probabilities, moved, strict=True):
                vectors = []
                for scale in scales:  # one region at one scale of one image
                    alone = scale.pixels[row : row + 1, :, : scale.sizes[row][1], : scale.sizes[row][0]]
                    size = [scale.sizes[row]]
                    factor = torch.tensor(size[0] * 2) / sizes[row].repeat(2)
                    maps = model.features(alone, size)
                    vectors.append(model.vectors(maps, [(box * factor)[None]], size))
                expected, deltas = model.siblings(torch.maximum(*vectors))
                torch.testing.assert_close(probability, expected[0], rtol=1e-3, atol=1e-4)
                target = clip(decode(deltas[0], box, REGION), sizes[row])
                torch.testing.assert_close(to, target, rtol=1e-3, atol=1e-2)


def test_an_ensemble_of_one_network_twice_is_that_network():
    model, protocol = network(), DetProtocol(64, 128, nms_iou=0.5)
    images = photographs(protocol, (100, 80), (64, 64))
    once, twice = answers([model], images, protocol), answers([model, model], images, protocol)
    for one, other in zip(once, twice, strict=True):
        assert_alike(one, other, rtol=1e-4, atol=1e-3)


def test_the_answer_of_two_networks_is_that_of_neither():
    protocol = DetProtocol(64, 128)
    one, two = network(), network(seed=1)
    images = photographs(protocol, (64, 64))
    together = answers([one, two], images, protocol)[0]
    assert together.scores.tolist() != answers([one], images, protocol)[0].scores.tolist()
    assert together.scores.tolist() == pytest.approx(answers([two, one], images, protocol)[0].scores.tolist(), abs=1e-4)


@pytest.mark.parametrize("how", [{}, ALL], ids=["baseline", "all"])
def test_bf16_gives_boxes_in_single_near_those_of_fp32(how):
    model, protocol = network(), DetProtocol(64, 128, score_threshold=0.0, **how)
    images = photographs(protocol, (100, 80), (64, 64))
    for found in answers([model], images, protocol, precision="bf16"):
        assert (found.boxes.dtype, found.scores.dtype) == (torch.float32, torch.float32)
        assert len(found)
        assert found.boxes.isfinite().all()
        assert ((found.scores >= 0) & (found.scores <= 1)).all()


@pytest.mark.parametrize("how", [{}, ALL], ids=["baseline", "all"])
def test_detectors_of_different_precision_answer_together_each_in_its_own(how):
    one, two = network(seed=0), network(seed=1)
    protocol = DetProtocol(64, 128, score_threshold=0.0, **how)
    images = photographs(protocol, (64, 64))
    for model in (one, two):
        fold_batch_norm(model)
    exact, half = (answers([one, two], images, protocol, precision=p)[0] for p in ("fp32", "bf16"))
    hold_convolutions(two.backbone, torch.bfloat16)  # as what is opened to be run is
    mixed = answers([one, two], images, protocol, precision=("fp32", "bf16"))[0]
    turned = answers([two, one], images, protocol, precision=("bf16", "fp32"))[0]
    assert mixed.scores.tolist() == pytest.approx(turned.scores.tolist(), abs=1e-4)
    assert mixed.scores[:5].tolist() == pytest.approx(exact.scores[:5].tolist(), abs=0.05)
    assert mixed.scores.tolist() not in (exact.scores.tolist(), half.scores.tolist())


def test_a_pixel_and_a_strip_are_images():
    model, protocol = network(), DetProtocol(64, 128, **ALL)
    for found in answers([model], photographs(protocol, (1, 1), (400, 2)), protocol):
        assert found.boxes.shape[1:] == (4,)
        assert found.boxes.isfinite().all()


@pytest.mark.parametrize("key", ["backbone.conv1.weight", "backbone.layer4.0.conv1.weight"], ids=["maps", "regions"])
@pytest.mark.parametrize("extra", [{}, {"refine": "top", "vote_iou": 0.5, "scales": (48, 64)}], ids=["plain", "all"])
def test_an_image_on_which_the_network_overflows_is_told_and_no_other(key, extra):
    model, protocol = network("data.mean=[0, 0, 0]"), DetProtocol(64, 128, score_threshold=0.0, **extra)
    images = photographs(protocol, (64, 64), (64, 64), (48, 64))
    images[1] = images[1]._replace(pixels=tuple(np.zeros_like(view) for view in images[1].pixels))  # 0 times anything
    assert all(one.finite for one in detect([model], [images], protocol, CPU))
    with torch.no_grad():
        model.state_dict()[key].fill_(3e38)
    found = list(detect([model, network(seed=1)], [images], protocol, CPU))  # nor does the other make up for it
    assert [one.finite for one in found] == [False, True, False]
