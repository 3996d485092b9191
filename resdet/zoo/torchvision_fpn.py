"""torchvision's Faster R-CNN with a feature pyramid: ``torchvision:FasterRCNN_ResNet50_FPN_Weights.COCO_V1[=FILE]``.

Its classes are COCO's category ids, 0 being background; ten ids that COCO left out have outputs all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from resdet.data.lists import coco_classes
from resdet.errors import InputError
from resdet.zoo.detector import PretrainedDetector, background_last, classes_of
from resdet.zoo.torchvision_api import entry_state, find_entry

FIRST, SECOND = "FasterRCNN_ResNet50_FPN_Weights", "FasterRCNN_ResNet50_FPN_V2_Weights"
COCO_OUTPUTS = 91
EPSILON = 1e-5  # of torch's batch norm

NAMES = (
    (r"^backbone\.body\.", "backbone."),
    (r"^backbone\.fpn\.(inner|layer)_blocks\.(\d)\.(weight|bias)$", r"neck.\1_blocks.\2.0.\3"),  # before 0.13
    (r"^backbone\.fpn\.", "neck."),
    (r"^rpn\.head\.conv\.(weight|bias)$", r"rpn.neck.\1"),  # before 0.13
    (r"^rpn\.head\.conv\.0\.0\.", "rpn.neck."),
    (r"^rpn\.head\.conv\.1\.0\.", "rpn.deeper.0."),
    (r"^rpn\.head\.cls_logits\.", "rpn.cls."),
    (r"^rpn\.head\.bbox_pred\.", "rpn.reg."),
    (r"^roi_heads\.box_head\.fc6\.", "neck.box_head.1."),
    (r"^roi_heads\.box_head\.fc7\.", "neck.box_head.3."),
    (r"^roi_heads\.box_head\.", "neck.box_head."),
    (r"^roi_heads\.box_predictor\.cls_score\.", "head.cls."),
    (r"^roi_heads\.box_predictor\.bbox_pred\.", "head.reg."),
)


def torchvision_detector(name: str) -> PretrainedDetector:
    """The detector that ``torchvision:NAME`` or ``torchvision:NAME=FILE`` names.

    Raises:
        InputError: a name of neither version, an unreadable file, or a download that failed.
    """
    entry = find_entry(name, (FIRST, SECOND))
    second = type(entry).__name__ == SECOND
    theirs = entry_state(name, entry)
    # Published with statistics that never move, which the first version's were trained with at an epsilon of 0; what
    # one trains oneself has batch norm's counters beside them, and its epsilon.
    if not second and not any(key.endswith("num_batches_tracked") for key in theirs):
        theirs = _with_epsilon(theirs)
    outputs = _outputs(theirs, name)
    kept = list(coco_classes()) if outputs == COCO_OUTPUTS else list(range(1, outputs))
    state = {_renamed(key): value for key, value in theirs.items()}
    for kind in ("weight", "bias"):
        state[f"head.cls.{kind}"] = background_last(state[f"head.cls.{kind}"], kept)
        boxes = state[f"head.reg.{kind}"].unflatten(0, (outputs, 4))
        state[f"head.reg.{kind}"] = background_last(boxes, kept)[: len(kept)].flatten(0, 1)
    return PretrainedDetector(name, state, _settings(second, outputs - 1 - len(kept)), classes_of(len(kept)))


def _settings(second: bool, unused: int) -> dict[str, Any]:
    sizes = {"shorter": 800, "longer": 1333}
    fpn = {"norm": True, "box_convs": 4, "box_layers": 1} if second else {}
    model = {
        "backbone": {"depth": 50, "stride_in": "3x3"},
        "neck": "fpn",
        "fpn": fpn,
        "anchor_sizes": [32, 64, 128, 256, 512],
        "anchor_offset": 0.0,
        "anchor_rounded": True,
        "rpn_channels": 256,
        "rpn_depth": 2 if second else 1,
        "pool_size": 7,
        "pool_sampling": 2,
        "pool_aligned": False,
        "unused_outputs": unused,
        # in training
        "inside_anchors": False,
        "pre_nms": 2000,
        "proposals": 2000,
        "min_side": 1e-3,
        "box_beta": 1 / 9,  # roi_heads.py, as the RPN's
        "regions_per_image": 512,
    }
    test = {
        **sizes,
        "pre_nms": 1000,
        "proposals": 1000,
        "min_side": 1e-3,
        "score_threshold": 0.05,
        "nms_iou": 0.5,
        "max_detections": 100,
    }
    return {"data": sizes, "model": model, "test": test}


def _outputs(theirs: Mapping[str, Tensor], name: str) -> int:
    for kind in ("cls_score", "bbox_pred"):
        for part in ("weight", "bias"):
            if f"roi_heads.box_predictor.{kind}.{part}" not in theirs:
                raise InputError(f"{name}: no key roi_heads.box_predictor.{kind}.{part}: not such a detector")
        weight, bias = (theirs[f"roi_heads.box_predictor.{kind}.{part}"] for part in ("weight", "bias"))
        if bias.ndim != 1 or weight.ndim != 2 or len(weight) != len(bias):
            shapes = f"{tuple(weight.shape)} and {tuple(bias.shape)}"
            raise InputError(
                f"{name}: roi_heads.box_predictor.{kind}: {shapes} for weight and bias: not such a detector"
            )
    classes = len(theirs["roi_heads.box_predictor.cls_score.bias"])
    boxes = len(theirs["roi_heads.box_predictor.bbox_pred.bias"])
    if boxes != 4 * classes or classes < 2:
        raise InputError(f"{name}: {classes} outputs for classes and {boxes} for boxes: not such a detector")
    return classes


def _renamed(key: str) -> str:
    for pattern, name in NAMES:
        if re.search(pattern, key):
            return re.sub(pattern, name, key)
    return key


def _with_epsilon(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Batch norm without an epsilon as batch norm with one: scales grow by what it makes the variance larger."""
    found = dict(state)
    for key, value in state.items():
        weight = key.removesuffix("running_var") + "weight"
        if key.endswith(".running_var") and weight in state and state[weight].shape == value.shape:  # else it is told
            variance = value.double().clamp(min=1e-30)
            factor = ((variance + EPSILON) / variance).sqrt()
            found[weight] = (state[weight].double() * factor).to(state[weight].dtype)
    return found
