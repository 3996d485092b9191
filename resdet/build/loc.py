"""Localizers from settings, and how they are tested."""

from __future__ import annotations

from resdet.backbones.weights import load_into
from resdet.build.backbone import build_backbone
from resdet.build.first_weights import check_heads, load_backbone, read_whole_model, renormalise
from resdet.config import LocConfig
from resdet.data.records import Classes
from resdet.errors import UsageError
from resdet.heads.per_class_box import PerClassBox
from resdet.heads.per_class_rpn import PerClassRPN
from resdet.inference.loc import LocProtocol
from resdet.models.localizer import Localizer, LocalizerLoss
from resdet.models.pcr import AnyLocalizer, PCRLocalizer, PCRLoss


def build_localizer(config: LocConfig, classes: int) -> AnyLocalizer:
    """The localizer of a config, its weights drawn at random."""
    build = _pcr_localizer if config.model.method == "pcr" else _rpn_localizer
    return build(config, classes)


def _pcr_localizer(config: LocConfig, classes: int) -> PCRLocalizer:
    """VGG's per-class regression."""
    how = config.model
    backbone = build_backbone(how.backbone, classes)
    return PCRLocalizer(
        backbone,
        PerClassBox(backbone.channels["conv5"] * how.bins**2, how.neck, classes, share_classes=how.share_classes),
        size=config.data.size,
        bins=how.bins,
        mean=config.data.mean,
        std=config.data.std,
        loss=PCRLoss(how.class_weight, how.box_weight, how.box_beta, config.train.label_smoothing),
    )


def _rpn_localizer(config: LocConfig, classes: int) -> Localizer:
    """The per-class RPN."""
    how = config.model
    backbone = build_backbone(how.backbone, classes)
    anchors = len(how.anchor_sizes) * len(how.anchor_ratios)
    channels = backbone.channels[how.feature]
    loss = LocalizerLoss(
        class_loss=how.class_loss,
        anchors_per_image=how.anchors_per_image,
        positive_iou=how.positive_iou,
        negative_iou=how.negative_iou,
        class_weight=how.class_weight,
        object_weight=how.object_weight,
        box_weight=how.box_weight,
        box_beta=how.box_beta,
        label_smoothing=config.train.label_smoothing,
    )
    return Localizer(
        backbone,
        PerClassRPN(channels, how.neck, anchors, classes, share_classes=how.share_classes),
        feature=how.feature,
        anchor_sizes=how.anchor_sizes,
        anchor_ratios=how.anchor_ratios,
        mean=config.data.mean,
        std=config.data.std,
        loss=loss,
    )


def start_localizer(model: AnyLocalizer, config: LocConfig, classes: Classes) -> None:
    """Give a localizer the weights that training starts from: ``model.weights``, or else ``model.backbone.weights``.

    Of a localizer that was trained on other classes, its classifier and siblings are left out.

    Raises:
        UsageError: both are named, or they are of a backbone or heads of another architecture.
        InputError: a file is missing, damaged, of another kind or of another shape.
    """
    how = config.model
    if not how.weights:
        load_backbone(model.backbone, how.backbone, config.data, classes)
        return
    if how.backbone.weights:
        raise UsageError("model.weights is a whole localizer: leave model.backbone.weights out")
    found = read_whole_model(how.weights, "loc", how.backbone)
    check_heads(how.weights, found.model, how, ("method", "feature", "neck", "bins"))
    of_classes = ("backbone.fc.", "rpn.cls.", "rpn.reg.", "head.reg.")
    load_into(model, found.state, source=how.weights, skip=() if found.class_ids == classes.ids else of_classes)
    renormalise(model.backbone, found, config.data)


def build_protocol(config: LocConfig, size: int = 0) -> LocProtocol:
    """How a localizer is tested; ``size``: the crop's side where it is not the config's."""
    data, test = config.data, config.test
    votes = test.voting in ("always", "greedy") or (test.voting == "dense" and test.protocol == "dense")
    size = size or data.size
    resize = round(data.resize * size / data.size)
    vote_iou = test.vote_iou if votes else None
    greedy = test.voting == "greedy"
    return LocProtocol(test.protocol, size, resize, test.scales, test.mirror, vote_iou, greedy, test.ensemble == "mean")
