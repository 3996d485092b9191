"""R-CNN of localization from settings, and how it looks at boxes again."""

from __future__ import annotations

from resdet.build.backbone import build_backbone
from resdet.config import RCNNConfig
from resdet.heads.per_class_siblings import PerClassSiblings
from resdet.inference.rcnn import Rescoring
from resdet.models.rcnn import RCNN, RCNNLoss


def build_rcnn(config: RCNNConfig, classes: int) -> RCNN:
    """The R-CNN of a config, its weights drawn at random."""
    how = config.model
    backbone = build_backbone(how.backbone, classes)
    siblings = PerClassSiblings(backbone.channels["conv5"], classes, share_classes=how.share_classes)
    low, high = how.background_iou
    loss = RCNNLoss(
        class_loss=how.class_loss,
        crops_per_image=how.crops_per_image,
        object_share=how.object_share,
        foreground_iou=how.foreground_iou,
        background_iou=(low, high),
        object_weight=how.object_weight,
        box_weight=how.box_weight,
        box_beta=how.box_beta,
    )
    data = config.data
    return RCNN(backbone, siblings, size=how.size, pad=how.pad, mean=data.mean, std=data.std, loss=loss)


def build_rescoring(config: RCNNConfig) -> Rescoring:
    """How an R-CNN looks at a localizer's boxes again."""
    data, test = config.data, config.test
    return Rescoring(
        shorter=data.shorter,
        longer=data.longer,
        proposals=test.proposals,
        min_side=config.proposals.min_side,
        share_iou=test.share_iou,
        score_share=test.score_share,
        vote_iou=test.vote_iou if test.voting else None,
    )
