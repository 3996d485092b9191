"""What every task does unless it is told otherwise: the numbers of He et al. 2016 and of what it builds on."""

import pytest
import torch

from resdet import build
from resdet.config import ClsConfig, DetConfig, LocalizerConfig, LocConfig, RCNNConfig
from resdet.inference.det import DetProtocol
from resdet.inference.rcnn import Proposing, Rescoring
from resdet.models.detector_loss import DetectorLoss
from resdet.models.faster_rcnn import FasterRCNN
from resdet.models.localizer import LocalizerLoss
from resdet.models.pcr import PCRLoss
from resdet.models.rcnn import RCNNLoss
from resdet.postprocess.proposals import ProposalRule

TEST_SCALES = (224, 256, 384, 480, 640)  # Sec. 3.4
PCA_VALUES = (0.2175, 0.0188, 0.0045)  # fb.resnet.torch's, which has the vectors in columns
PCA_COLUMNS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
IMAGENETS = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # 255 times (0.485, 0.456, 0.406), (0.229, ..)


@pytest.mark.parametrize("kind", [ClsConfig, LocConfig, DetConfig, RCNNConfig])
def test_of_every_task(kind):
    config = kind()
    assert (config.data.mean, config.data.std) == IMAGENETS
    assert config.augment.mirror == 0.5
    train, backbone = config.train, config.model.backbone
    assert (train.schedule, train.momentum, train.clip_norm, train.ema, train.mixup) == ("step", 0.9, 0, 0, 0)
    assert (train.label_smoothing, train.warmup_epochs, train.warmup_until_error) == (0, 0, 0)
    assert (train.accumulate, train.lr_batch, train.stop_epoch, train.precision) == (1, 0, 0, "fp32")
    assert (train.decay_norm_and_bias, train.sizes, train.batch_norm_images) == (True, (), 200 * 256)
    assert (backbone.family, backbone.width, backbone.stem, backbone.stride_in) == ("imagenet", 64, "7x7", "1x1")
    assert not any((backbone.shortcut, backbone.dilate_conv5, backbone.zero_init_residual, backbone.new_classifier))


def test_of_classification():
    config = ClsConfig()
    assert (config.augment.crop, config.augment.keep_object) == ("shorter_side", False)
    assert config.train.batch_norm == "train"
    assert config.train.epochs == 120  # 60e4 iterations of 256 images among 1.28 million
    assert config.train.lr_drop_epochs == (30, 60, 90)
    assert (config.test.protocol, config.test.scales, config.test.mirror) == ("1-crop", TEST_SCALES, False)
    assert (config.data.size, config.data.resize) == (224, 256)  # of the released models' 1-crop test
    assert (config.train.warmup_lr, config.augment.pad) == (0.01, 4)  # Sec. 4.2
    assert (config.train.patience, config.train.threshold) == (5, 0.1)
    assert (config.augment.pca_values, tuple(zip(*config.augment.pca_vectors, strict=True))) == (
        PCA_VALUES,
        PCA_COLUMNS,
    )
    assert (config.augment.area, config.augment.aspect) == ((0.08, 1), (3 / 4, 1.3333))  # the modern recipe's crops


def test_of_localization():
    config = LocConfig()
    assert (config.augment.crop, config.augment.shorter_side) == ("shorter_side", (256, 480))  # App. C: Sec. 3.4's
    assert (config.augment.keep_object, config.augment.min_visible, config.augment.crop_tries) == (True, 0.3, 10)
    assert config.augment.clip_boxes
    assert (config.data.size, config.data.resize) == (224, 256)
    assert (config.train.batch_size, config.train.weight_decay, config.train.lr) == (256, 1e-4, 0.01)  # App. C
    assert (config.train.epochs, config.train.lr_drop_epochs, config.train.batch_norm) == (10, (5, 8), "frozen")
    how = config.model
    assert (how.neck, how.bins) == (128, 1)
    assert (how.method, how.feature, how.class_loss, how.share_classes) == ("rpn", "conv5", "true", False)
    assert (how.anchor_sizes, how.anchor_ratios) == ((64, 128, 224), (0.5, 1, 2))
    assert (how.positive_iou, how.negative_iou) == (0.7, 0.3)  # Faster R-CNN
    assert (how.class_weight, how.object_weight, how.box_weight) == (1, 1, 1)
    assert how.box_beta == 1 / 3**2  # sigma = 3
    assert (config.test.protocol, config.test.scales, config.test.mirror) == ("1-crop", TEST_SCALES, False)
    assert (config.test.voting, config.test.vote_iou, config.test.ensemble) == ("dense", 0.5, "union")


def test_of_rcnn():
    config = RCNNConfig()
    assert (config.proposals.protocol, config.proposals.kept, config.test.proposals) == ("dense", 200, 200)  # App. C
    assert (config.proposals.nms_iou, config.proposals.min_side) == (1, 16)
    how = config.model
    assert (how.size, how.pad, how.class_loss, how.share_classes) == (224, 16, "true", False)
    assert config.train.batch_size * how.crops_per_image == 256  # App. C: region-centric
    assert (how.object_share, how.foreground_iou, how.background_iou) == (0.25, 0.5, (0, 0.5))  # Fast R-CNN
    assert (how.object_weight, how.box_weight, how.box_beta) == (1, 1, 1)
    assert (config.test.score_share, config.test.voting, config.test.vote_iou) == (1, True, 0.5)
    assert (config.train.lr, config.train.weight_decay, config.train.batch_norm) == (0.01, 1e-4, "frozen")
    assert (config.train.epochs, config.train.lr_drop_epochs) == (10, (5, 8))  # the localizer's
    assert (config.data.shorter, config.data.longer, config.test.share_iou) == (320, 960, 0.9)


def test_of_detection():
    config = DetConfig()
    how = config.model
    assert (how.neck, how.schedule, how.freeze, how.context) == ("c4", "joint", 0, False)
    assert (how.anchor_offset, how.anchor_rounded, how.inside_anchors) == (0.5, False, True)
    assert (how.rpn_channels, how.rpn_depth, how.anchor_positive, how.min_side) == (512, 1, 0.5, 16)
    assert (how.pool_size, how.pool_sampling, how.pool_aligned, how.unused_outputs) == (14, 0, True, 0)
    assert how.background_iou == (0, 0.5)
    assert (how.object_weight, how.proposal_weight, how.class_weight, how.box_weight) == (1, 1, 1, 1)
    augment = config.augment  # the mirror alone
    assert not any((augment.brightness, augment.contrast, augment.saturation, augment.hue))
    assert (config.augment.scale, config.train.epochs, config.train.lr_drop_epochs) == ((1, 1), 31, (23,))
    test = config.test
    assert (test.proposal_nms, test.min_side, test.score_threshold, test.max_detections) == (0.7, 16, 0.05, 100)
    assert (test.refine, test.refine_box, test.vote, test.vote_iou, test.scales) == (False, "top", False, 0.5, ())


def test_of_a_pyramid_for_detection():
    fpn = DetConfig().model.fpn  # torchvision's: two layers of 1024 behind 256 channels, no norm
    assert (fpn.channels, fpn.norm, fpn.box_convs, fpn.box_layers, fpn.box_channels) == (256, False, 0, 2, 1024)


def test_parts_that_are_made_without_settings_have_the_settings_defaults():
    """Who builds a model by hand, without a config, learns and tests as the paper does too."""
    with torch.device("meta"):
        detector, rcnn = build.build_detector(DetConfig(), 2), build.build_rcnn(RCNNConfig(), 2)
        rpn = build.build_localizer(LocConfig(), 2)
        pcr = build.build_localizer(LocConfig(model=LocalizerConfig(method="pcr")), 2)
    assert (detector.loss, detector.proposals) == (DetectorLoss(), ProposalRule())
    assert (rpn.loss, pcr.loss, rcnn.loss) == (LocalizerLoss(), PCRLoss(), RCNNLoss())
    assert build.build_det_protocol(DetConfig()) == DetProtocol()
    assert build.build_rescoring(RCNNConfig()) == Rescoring(shorter=320, longer=960)
    kept = RCNNConfig().proposals
    assert Proposing(kept.kept, kept.nms_iou, kept.min_side) == Proposing()
    test, detect = DetConfig().test, FasterRCNN.detect.__defaults__
    assert detect == (test.score_threshold, test.nms_iou, test.max_detections)
