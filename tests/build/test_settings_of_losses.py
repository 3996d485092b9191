"""Every setting of how a model learns and proposes is in the model that is built, under its own name."""

from dataclasses import fields

import pytest
import torch

from resdet import build
from resdet.config import DetConfig, LocConfig, RCNNConfig, from_dict
from resdet.inference.det import DetProtocol
from resdet.inference.rcnn import Rescoring
from resdet.models.detector_loss import DetectorLoss
from resdet.models.localizer import LocalizerLoss
from resdet.models.pcr import PCRLoss
from resdet.models.rcnn import RCNNLoss
from resdet.postprocess.proposals import ProposalRule

# no value is the default, and no two of a kind are the same
WEIGHTS = {"object_weight": 2.0, "box_weight": 3.0, "box_beta": 0.3}
OVERLAPS = {"positive_iou": 0.6, "negative_iou": 0.2}
REGIONS = {"foreground_iou": 0.55, "background_iou": (0.1, 0.4)}
LEARNING = {
    "det": DetectorLoss(
        ProposalRule(900, 90, 0.65, 9.0),
        anchors_per_image=100,
        anchor_positive=0.45,
        inside_anchors=False,
        regions_per_image=32,
        region_positive=0.35,
        class_weight=4.0,
        proposal_weight=5.0,
        proposal_beta=0.2,
        **WEIGHTS,
        **OVERLAPS,
        **REGIONS,
    ),
    "rpn": LocalizerLoss("all", anchors_per_image=10, class_weight=4.0, label_smoothing=0.1, **WEIGHTS, **OVERLAPS),
    "pcr": PCRLoss(4.0, 3.0, 0.3, 0.1),
    "rcnn": RCNNLoss("all", crops_per_image=2, object_share=0.35, **WEIGHTS, **REGIONS),
}
MODELS = {
    "det": (DetConfig, build.build_detector),
    "rpn": (LocConfig, build.build_localizer),
    "pcr": (LocConfig, build.build_localizer),
    "rcnn": (RCNNConfig, build.build_rcnn),
}


@pytest.mark.parametrize("name", LEARNING)
def test_of_every_loss(name):
    wanted = LEARNING[name]
    model = {field.name: getattr(wanted, field.name) for field in fields(wanted)}
    assert not [key for key, value in model.items() if value == getattr(type(wanted)(), key)], "these show nothing"
    smoothing = model.pop("label_smoothing", 0.0)
    if name == "det":
        model |= {"pre_nms": 900, "proposals": 90, "proposal_nms": 0.65, "min_side": 9.0}
    model = {key: list(value) if isinstance(value, tuple) else value for key, value in model.items()}
    kind, make = MODELS[name]
    settings = {"model": model | ({"method": "pcr"} if name == "pcr" else {}), "train": {"label_smoothing": smoothing}}
    with torch.device("meta"):
        assert make(from_dict(kind, settings, "test"), 2).loss == wanted


def test_of_testing_a_detector():
    test = {"shorter": 500, "longer": 900, "score_threshold": 0.1, "nms_iou": 0.4, "max_detections": 50}
    test |= {"pre_nms": 800, "proposals": 80, "proposal_nms": 0.6, "min_side": 8.0}
    test |= {"refine": True, "refine_box": "each", "vote": True, "vote_iou": 0.6, "scales": [300, 500]}
    config = from_dict(DetConfig, {"test": test, "data": {"multiple": 64}}, "test")
    assert build.build_det_protocol(config) == DetProtocol(500, 900, 0.1, 0.4, 50, "each", 0.6, (300, 500), 64)
    with torch.device("meta"):
        assert build.build_detector(config, 2).proposals == ProposalRule(800, 80, 0.6, 8.0)


def test_of_looking_at_boxes_again():
    test = {"proposals": 50, "share_iou": 0.7, "score_share": 0.5, "vote_iou": 0.6}
    settings = {"test": test, "proposals": {"min_side": 8.0}, "data": {"shorter": 200, "longer": 400}}
    found = build.build_rescoring(from_dict(RCNNConfig, settings, "test"))
    assert found == Rescoring(200, 400, 50, 8.0, 0.7, 0.5, 0.6)
    settings["test"]["voting"] = False
    assert build.build_rescoring(from_dict(RCNNConfig, settings, "test")).vote_iou is None
