"""Detectors from settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from resdet.backbones import ResNet
from resdet.backbones.weights import load_into
from resdet.build.backbone import build_backbone, load_backbone
from resdet.config import DetConfig, DetectorConfig
from resdet.data.records import Classes
from resdet.engine import checkpoint
from resdet.errors import InputError, UsageError
from resdet.heads.region import RegionHead
from resdet.heads.rpn import RPN
from resdet.inference.det import DetProtocol
from resdet.models.detector_loss import DetectorLoss
from resdet.models.faster_rcnn import FasterRCNN
from resdet.postprocess.proposals import ProposalRule

Detector = FasterRCNN  # for rooms above, which know settings and must not know models


def build_detector(config: DetConfig, classes: int) -> FasterRCNN:
    """The detector of a config, its weights drawn at random."""
    how, test = config.model, config.test
    backbone = build_backbone(how.backbone, 1)
    assert isinstance(backbone, ResNet)  # the config refuses the other family
    backbone.fc = nn.Identity()  # type: ignore[assignment]  # the siblings say what a region is
    anchors = len(how.anchor_sizes) * len(how.anchor_ratios)
    return FasterRCNN(
        backbone,
        RPN(backbone.channels["conv4"], how.rpn_channels, anchors),
        RegionHead(backbone.channels["conv5"], classes, context=how.context),
        anchor_sizes=how.anchor_sizes,
        anchor_ratios=how.anchor_ratios,
        pool=how.pool,
        pool_size=how.pool_size,
        mean=config.data.mean,
        std=config.data.std,
        loss=_loss(how),
        proposals=ProposalRule(test.pre_nms, test.proposals, test.proposal_nms, test.min_side),
        freeze=how.freeze,
    )


def start_detector(model: FasterRCNN, config: DetConfig, classes: Classes) -> None:
    """Give a detector the weights that training starts from: ``model.weights``, or else ``model.backbone.weights``.

    A backbone's own classifier is left out, and a detector's siblings are where it was trained on other classes.

    Raises:
        UsageError: both are named.
        InputError: a file is missing, damaged, of another kind or of another shape.
    """
    how = config.model
    if not how.weights:
        load_backbone(model.backbone, replace(how.backbone, new_classifier=True), config.data)
        return
    if how.backbone.weights:
        raise UsageError("model.weights is a whole detector: leave model.backbone.weights out")
    saved = checkpoint.load(Path(how.weights))
    if saved.task != "det":
        raise InputError(f"{how.weights}: holds a model of the kind {saved.task!r}: it is for model.backbone.weights")
    other = saved.class_ids != classes.ids
    load_into(model, saved.model, source=how.weights, skip=("head.cls.", "head.reg.") if other else ())


def build_det_protocol(config: DetConfig) -> DetProtocol:
    """How a detector is tested; how many proposals it makes is in the detector."""
    test = config.test
    return DetProtocol(
        shorter=test.shorter,
        longer=test.longer,
        score_threshold=test.score_threshold,
        nms_iou=test.nms_iou,
        max_detections=test.max_detections,
        refine=test.refine_box if test.refine else "",
        vote_iou=test.vote_iou if test.vote else None,
        scales=test.scales,
        multiple=config.data.multiple,
    )


def _loss(how: DetectorConfig) -> DetectorLoss:
    low, high = how.background_iou
    return DetectorLoss(
        proposals=ProposalRule(how.pre_nms, how.proposals, how.proposal_nms, how.min_side),
        anchors_per_image=how.anchors_per_image,
        anchor_positive=how.anchor_positive,
        positive_iou=how.positive_iou,
        negative_iou=how.negative_iou,
        inside_anchors=how.inside_anchors,
        regions_per_image=how.regions_per_image,
        region_positive=how.region_positive,
        foreground_iou=how.foreground_iou,
        background_iou=(low, high),
        object_weight=how.object_weight,
        proposal_weight=how.proposal_weight,
        class_weight=how.class_weight,
        box_weight=how.box_weight,
        proposal_beta=how.proposal_beta,
        box_beta=how.box_beta,
    )
