"""detectron2's Faster R-CNN on conv4: ``detectron2:faster_rcnn_R_50_C4=FILE``, with or without ``_1x`` and ``_3x``."""

from __future__ import annotations

import re
from typing import Any

from resdet.errors import InputError
from resdet.zoo.detector import PretrainedDetector, classes_of
from resdet.zoo.detectron2_file import MEAN, PREFIX, STD, read_published
from resdet.zoo.detectron2_resnet import IN_DETECTORS, bgr_to_rgb, resnet_state

NAMES = r"((COCO|PascalVOC)-Detection/)?faster_rcnn_R_(50|101)_C4(_1x|_3x)?(\.yaml)?"
HEADS = {
    "proposal_generator.rpn_head.conv": "rpn.neck",
    "proposal_generator.rpn_head.objectness_logits": "rpn.cls",
    "proposal_generator.rpn_head.anchor_deltas": "rpn.reg",
    "roi_heads.box_predictor.cls_score": "head.cls",  # background is their last output too
    "roi_heads.box_predictor.bbox_pred": "head.reg",
}
# what older files carry beside the weights: settings, the first two of which are taken over
BUFFERS = ("pixel_mean", "pixel_std", "proposal_generator.anchor_generator.cell_anchors.0")


def detectron2_detector(name: str) -> PretrainedDetector:
    """The detector that ``detectron2:NAME=FILE`` names.

    Raises:
        InputError: not such a name, a file that cannot be read or holds another detector.
    """
    wanted = name.removeprefix(PREFIX).partition("=")[0]
    known = re.fullmatch(NAMES, wanted)
    if not known:
        raise InputError(f"{PREFIX}{wanted}: wanted faster_rcnn_R_50_C4 or faster_rcnn_R_101_C4")
    everything = read_published(name).tensors
    theirs = {key: value for key, value in everything.items() if key not in BUFFERS}
    for head in HEADS:
        for part in ("weight", "bias"):
            if f"{head}.{part}" not in theirs:
                raise InputError(f"{name}: no key {head}.{part}: not such a detector")
    backbone = {key: value for key, value in theirs.items() if re.fullmatch(IN_DETECTORS, key)}
    state = {_of_head(key): value for key, value in theirs.items() if key not in backbone}
    state |= {f"backbone.{key}": value for key, value in bgr_to_rgb(resnet_state(backbone)).items()}
    classes = classes_of(state["head.cls.bias"].numel() - 1)
    settings = _settings(int(known[3]), state["rpn.neck.bias"].numel())
    for setting, buffer in (("mean", "pixel_mean"), ("std", "pixel_std")):
        if buffer in everything:
            settings["data"][setting] = everything[buffer].flatten().flip(0).tolist()  # BGR there
    return PretrainedDetector(name, state, settings, classes)


def _of_head(key: str) -> str:
    """Our name for a head's key; one that is not known stays, to be reported."""
    layer, _, part = key.rpartition(".")
    return f"{HEADS[layer]}.{part}" if layer in HEADS else key


def _settings(depth: int, rpn_channels: int) -> dict[str, Any]:
    sizes = {"shorter": 800, "longer": 1333}
    model = {
        "backbone": {"depth": depth, "stride_in": "1x1"},
        "anchor_sizes": [32, 64, 128, 256, 512],
        "anchor_offset": 0.0,
        "rpn_channels": rpn_channels,
        # in training
        "inside_anchors": False,
        "pre_nms": 12000,
        "proposals": 2000,
        "min_side": 0.0,
        "regions_per_image": 512,
    }
    test = {
        **sizes,
        "pre_nms": 6000,
        "proposals": 1000,
        "min_side": 0.0,
        "score_threshold": 0.05,
        "nms_iou": 0.5,
        "max_detections": 100,
    }
    return {"data": {**sizes, "mean": list(MEAN), "std": list(STD)}, "model": model, "test": test}
