"""A detector as one function of the pixels: it finds what the detector finds, in torch and in another runtime."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_files import session

from resdet.inference.det import DetProtocol
from resdet.inference.onnx import as_function, write_onnx

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from tiny_faster_rcnn import detector

KINDS = {
    "RoI align": ("test.pre_nms=200",),
    "RoI pool": ("model.pool=pool",),
    "entrance on the map": ("model.backbone.depth=50", "model.backbone.stride_in=1x1"),
    "context, the older RoI align": ("model.context=true", "model.pool_aligned=false", "model.pool_sampling=2"),
    "fewer proposals than there may be": ("test.min_side=38", "test.proposals=60"),
    "fewer anchors than proposals": ("test.pre_nms=20",),
    "pyramid": ("model.neck=fpn", "model.anchor_sizes=[16,32,48,64,96]", "model.fpn.channels=16"),
    "a corner for the anchors' centres, unused outputs": ("model.anchor_offset=0.0", "model.unused_outputs=2"),
}
SHAPES = ((1, 3, 81, 97), (3, 3, 130, 99), (2, 3, 96, 128))
PROTOCOL = DetProtocol(score_threshold=0.05, nms_iou=0.3, max_detections=12)


def pixels(shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(sum(shape)))


def expected(model, images, protocol):
    """What ``detect`` finds in each image."""
    sizes = [(images.shape[3], images.shape[2])] * len(images)
    with torch.no_grad():
        return model.detect(images, sizes, protocol.score_threshold, protocol.nms_iou, protocol.max_detections)


def assert_found(answer, wanted):
    """The detections come first, in order; behind them there is nothing."""
    boxes, scores, labels, counts = (np.asarray(column) for column in answer)
    assert counts.tolist() == [len(one) for one in wanted]
    for i, one in enumerate(wanted):
        n = len(one)
        np.testing.assert_allclose(scores[i, :n], one.scores, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(boxes[i, :n], one.boxes, rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(labels[i, :n], one.labels)
        assert not boxes[i, n:].any() and not scores[i, n:].any() and (labels[i, n:] == -1).all()


@pytest.mark.parametrize("exporting", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_function_finds_what_the_detector_finds(kind, exporting, monkeypatch):
    """Regions are cut out in other ways while a program is exported, where their number is not known."""
    model = detector(*KINDS[kind])
    function = as_function(model, PROTOCOL)
    for shape in SHAPES:
        images = pixels(shape)
        wanted = expected(model, images, PROTOCOL)
        assert sum(len(one) for one in wanted) > 2 * len(wanted)
        with monkeypatch.context() as patched, torch.no_grad():
            patched.setattr(torch.compiler, "is_exporting", lambda: exporting)
            found = function(images)
        assert_found(found, wanted)


def test_where_nothing_is_found_there_is_nothing_in_any_place():
    model = detector()
    images = pixels((2, 3, 80, 96))
    with torch.no_grad():
        boxes, scores, labels, counts = as_function(model, DetProtocol(score_threshold=1.0))(images)
    assert boxes.shape == (2, 90, 4)  # 30 proposals of three classes: fewer than 100 detections
    assert counts.tolist() == [0, 0]
    assert not boxes.any() and not scores.any() and (labels == -1).all()


def test_an_image_with_objects_beside_one_without():
    model, protocol = detector(), DetProtocol(score_threshold=0.4)
    images = torch.cat((pixels((1, 3, 96, 96)), torch.zeros(1, 3, 96, 96, dtype=torch.uint8)))
    wanted = expected(model, images, protocol)
    assert [len(one) > 0 for one in wanted] == [True, False]
    with torch.no_grad():
        assert_found(as_function(model, protocol)(images), wanted)


def session_of(model, protocol, file):
    return session(file, lambda file: write_onnx(file, as_function(model, protocol), None, {}))


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # of torch 2.11's exporter about torch itself
@pytest.mark.parametrize(
    "kind",
    [
        "RoI align",
        "context, the older RoI align",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("RoI pool", "pyramid")),
    ],
)
def test_a_file_finds_the_same_in_any_number_of_images_of_any_size(kind, tmp_path):
    model = detector(*KINDS[kind])
    runs = session_of(model, PROTOCOL, tmp_path / "d.onnx")
    blank = torch.zeros(2, 3, 128, 96, dtype=torch.uint8)
    for images in (*(pixels(shape) for shape in (*SHAPES, (4, 3, 66, 70))), blank):
        assert_found(runs.run(None, {"images": images.numpy()}), expected(model, images, PROTOCOL))


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_a_file_may_find_nothing(tmp_path):
    runs = session_of(detector(), DetProtocol(score_threshold=1.0), tmp_path / "d.onnx")
    boxes, scores, labels, counts = runs.run(None, {"images": pixels((2, 3, 81, 97)).numpy()})
    assert (boxes.shape, counts.tolist()) == ((2, 90, 4), [0, 0])
    assert not boxes.any() and not scores.any() and (labels == -1).all()
