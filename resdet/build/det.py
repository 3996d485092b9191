"""Detectors from settings."""

from __future__ import annotations

from dataclasses import fields, replace

from torch import nn

from resdet.backbones import ResNet
from resdet.backbones.weights import load_into
from resdet.build.backbone import build_backbone
from resdet.build.first_weights import (
    FirstWeights,
    check_architecture,
    check_heads,
    load_backbone,
    read_whole_model,
    renormalise,
)
from resdet.config import DetConfig, DetectorConfig, from_dict
from resdet.data.records import Classes
from resdet.errors import UsageError
from resdet.heads.c4 import C4
from resdet.heads.fpn import FPN
from resdet.heads.region import RegionHead
from resdet.heads.rpn import RPN
from resdet.inference.det import DetProtocol
from resdet.models.detector_loss import DetectorLoss
from resdet.models.faster_rcnn import FasterRCNN
from resdet.postprocess.proposals import ProposalRule
from resdet.zoo.named import named_detector

Detector = FasterRCNN  # for rooms above, which know settings and must not know models


def build_detector(config: DetConfig, classes: int) -> FasterRCNN:
    """The detector of a config, its weights drawn at random."""
    how, test = config.model, config.test
    backbone = build_backbone(how.backbone, 1)
    assert isinstance(backbone, ResNet)  # the config refuses the other family
    backbone.fc = nn.Identity()  # type: ignore[assignment]  # the siblings say what a region is
    neck = _neck(how, backbone)
    # one size a level, where there are levels
    sizes = [how.anchor_sizes] if how.neck == "c4" else [(size,) for size in how.anchor_sizes]
    anchors = len(sizes[0]) * len(how.anchor_ratios)
    return FasterRCNN(
        backbone,
        neck,
        RPN(neck.map_channels, how.rpn_channels, anchors, how.rpn_depth),
        RegionHead(neck.vector_channels, classes, context=how.context, unused=how.unused_outputs),
        anchor_sizes=sizes,
        anchor_ratios=how.anchor_ratios,
        anchor_offset=how.anchor_offset,
        anchor_rounded=how.anchor_rounded,
        mean=config.data.mean,
        std=config.data.std,
        loss=_loss(how),
        proposals=ProposalRule(test.pre_nms, test.proposals, test.proposal_nms, test.min_side),
        freeze=how.freeze,
    )


def _neck(how: DetectorConfig, backbone: ResNet) -> C4 | FPN:
    """What stands between the backbone and the heads."""
    size, sampling, aligned = how.pool_size, how.pool_sampling, how.pool_aligned
    if how.neck == "c4":
        return C4(backbone, pool=how.pool, size=size, sampling=sampling, aligned=aligned)
    fpn = how.fpn
    return FPN(
        backbone,
        channels=fpn.channels,
        norm=fpn.norm,
        size=size,
        sampling=sampling,
        aligned=aligned,
        box_convs=fpn.box_convs,
        box_layers=fpn.box_layers,
        box_channels=fpn.box_channels,
    )


def start_detector(model: FasterRCNN, config: DetConfig, classes: Classes) -> None:
    """Give a detector the weights that training starts from: ``model.weights``, or else ``model.backbone.weights``.

    A backbone's own classifier is left out, and a detector's siblings are where it was trained on other classes.

    Raises:
        UsageError: both are named, or they are of a backbone or heads of another architecture.
        InputError: a file is missing, damaged, of another kind or of another shape.
    """
    how = config.model
    if not how.weights:
        load_backbone(model.backbone, replace(how.backbone, new_classifier=True), config.data)
        return
    if how.backbone.weights:
        raise UsageError("model.weights is a whole detector: leave model.backbone.weights out")
    found = _detector_weights(how)
    same = found.class_ids == classes.ids
    siblings = ("context", "unused_outputs") if same else ()  # new where the classes are
    pyramid = ("pool_size", *(f"fpn.{f.name}" for f in fields(how.fpn))) if how.neck == "fpn" else ()
    check_heads(how.weights, found.model, how, ("neck", "rpn_channels", "rpn_depth", *pyramid, *siblings))
    load_into(model, found.state, source=how.weights, skip=() if same else ("head.cls.", "head.reg."))
    renormalise(model.backbone, found, config.data)


def _detector_weights(how: DetectorConfig) -> FirstWeights:
    """What ``model.weights`` names: a published detector, or a checkpoint."""
    if found := named_detector(how.weights):
        theirs = from_dict(DetConfig, dict(found.settings), how.weights)
        # their width is not told: shapes tell it
        check_architecture(how.weights, replace(theirs.model.backbone, width=how.backbone.width), how.backbone)
        return FirstWeights(found.state, found.classes.ids, (theirs.data.mean, theirs.data.std), theirs.model)
    return read_whole_model(how.weights, "det", how.backbone)


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
