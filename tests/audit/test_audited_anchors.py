"""The best anchor is the best of all anchors laid out over the image."""

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from resdet.audit.anchors import anchors_of_det, anchors_of_loc, best_overlaps, recall
from resdet.boxes.anchors import anchor_grid, anchor_shapes
from resdet.config import DetConfig, LocConfig, override


def of_whole_grids(boxes, sizes, shorter, longer, levels):
    """``levels``: shapes and stride of each; every image's grid is laid out and compared by torchvision."""
    best = []
    for box, (width, height) in zip(boxes, sizes, strict=True):
        scale = min(shorter / min(width, height), longer / max(width, height))
        w, h = width * scale, height * scale
        anchors = torch.cat([anchor_grid(s, int(np.ceil(h / t)), int(np.ceil(w / t)), t) for s, t in levels])
        best.append(float(box_iou(torch.tensor(box * scale)[None], anchors.double()).max()))
    return best


@pytest.mark.parametrize(
    ("neck", "stem", "stride"), [("c4", "7x7", 16), ("c4", "3x3-pool", 8), ("c4", "3x3", 4), ("fpn", "7x7", 4)]
)
def test_of_a_detector(neck, stem, stride):
    sizes = {"c4": [64, 128, 256], "fpn": [32, 64, 128, 256, 512]}[neck]
    words = [f"model.neck={neck}", f"model.anchor_sizes={sizes}", f"model.backbone.stem={stem}"]
    config = override(DetConfig, {}, words, "test")
    rng = np.random.default_rng(0)
    shapes = rng.integers(60, 400, (40, 2)).astype(float)
    corners = np.sort(rng.uniform(0, 1, (40, 2, 2)), axis=1) * shapes[:, None]
    boxes = corners.reshape(40, 4)
    ratios = (0.5, 1.0, 2.0)
    levels = [(anchor_shapes(sizes, ratios), stride)]
    if neck == "fpn":
        levels = [
            (anchor_shapes([size], ratios), stride) for size, stride in zip(sizes, (4, 8, 16, 32, 64), strict=True)
        ]
    actual = best_overlaps(anchors_of_det(config, ""), boxes, shapes)
    np.testing.assert_allclose(actual, of_whole_grids(boxes, shapes, 600, 1000, levels), atol=1e-6)


@pytest.mark.parametrize(
    ("words", "stride"),
    [
        (["model.backbone.stem=3x3", "model.feature=conv4"], 4),
        (["model.backbone.stem=3x3-pool"], 16),
        (["model.backbone.dilate_conv5=true"], 16),
        (["model.backbone.family=cifar", "model.backbone.depth=20"], 4),
    ],
)
def test_of_a_localizer(words, stride):
    config = override(LocConfig, {}, words, "test")
    boxes, shapes = np.array([[3.0, 4, 50, 60], [0, 0, 64, 64], [5, 9, 33, 47]]), np.full((3, 2), 64.0)
    levels = [(anchor_shapes((64.0, 128.0, 224.0), (0.5, 1.0, 2.0)), stride)]
    actual = best_overlaps(anchors_of_loc(config, ""), boxes, shapes)
    np.testing.assert_allclose(actual, of_whole_grids(boxes, shapes, 256, 1e9, levels), atol=1e-6)


def test_an_anchor_itself_is_found_whole():
    anchors = anchors_of_det(override(DetConfig, {}, ["test.shorter=600", "test.longer=1000"], "test"), "mine")
    boxes = np.array([[8.0 + 16 * 20 - 128, 8 + 16 * 15 - 128, 8 + 16 * 20 + 128, 8 + 16 * 15 + 128]])
    told = recall(anchors, boxes, np.array([[800.0, 600.0]]))
    assert told == {"anchors": "mine", "boxes": 1, "recall_0.5": 100.0, "recall_0.7": 100.0, "mean_iou": 1.0}
    assert recall(anchors, boxes[:0], np.zeros((0, 2))) == {"anchors": "mine", "boxes": 0}
