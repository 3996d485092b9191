"""Detection's settings: the paper's values, and what is refused."""

import pytest

from resdet.config import DetConfig, TrainConfig, from_dict, override, to_dict
from resdet.errors import UsageError


def test_defaults_are_the_papers_and_faster_rcnns():
    config = DetConfig()
    assert (config.data.shorter, config.data.longer) == (config.test.shorter, config.test.longer) == (600, 1000)
    how = config.model
    assert (how.anchor_sizes, how.anchor_ratios) == ((128, 256, 512), (0.5, 1, 2))
    assert (how.anchors_per_image, how.positive_iou, how.negative_iou) == (256, 0.7, 0.3)
    assert (how.pre_nms, how.proposals, how.proposal_nms) == (12000, 2000, 0.7)
    assert (2 * how.regions_per_image, how.region_positive, how.foreground_iou) == (128, 0.25, 0.5)
    assert (how.proposal_beta, how.box_beta) == (1 / 9, 1)
    assert (config.test.pre_nms, config.test.proposals, config.test.nms_iou) == (6000, 300, 0.3)
    assert (config.train.batch_size, config.train.lr, config.train.batch_norm) == (8, 0.001, "frozen")
    assert config.train.weight_decay == 5e-4  # Faster R-CNN's
    # 240k steps of 8 among 82,783 images, then 80k
    assert config.train.lr_drop_epochs[0] == round(240_000 * 8 / 82_783)
    assert config.train.epochs == round(320_000 * 8 / 82_783)


def test_from_dict_undoes_to_dict():
    config = override(DetConfig, {}, ["model.context=true", "test.scales=[200, 400]", "augment.scale=[0.5, 2]"], "test")
    assert from_dict(DetConfig, to_dict(config), "test") == config


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("data.shorter=1001", "data.shorter 1001 is above data.longer 1000"),
        ("data.multiple=0", "data.multiple must be 1 or more"),
        ("data.mean=[1]", "data.mean must be three values"),
        ("augment.scale=[1.2, 1]", "augment.scale must be two values above 0, the lower first"),
        ("augment.mirror=2", "augment.mirror must be from 0 to 1"),
        ("augment.hue=0.7", "augment.hue must be at most 0.5"),
        ("model.neck=c5", "model.neck must be one of c4, fpn"),
        ("model.freeze=5", "model.freeze must be one of 0, 1, 2, 3, 4"),
        ("model.pool=max", "model.pool must be one of align, pool"),
        ("model.schedule=four", "model.schedule must be one of joint, alternating"),
        ("model.anchor_sizes=[]", "model.anchor_sizes must name one at least"),
        ("model.anchor_ratios=[-1]", "model.anchor_ratios must be above 0"),
        ("model.anchor_sizes=[700, 800]", "there would be nothing to learn from"),
        ("model.rpn_channels=0", "model.rpn_channels must be from 1 to 65536"),
        (f"model.rpn_channels={10**30}", "model.rpn_channels must be from 1 to 65536"),
        (f"model.backbone.width={2**62}", "model.backbone.width must be from 1 to 65536"),
        ("model.proposals=0", "model.proposals must be 1 or more"),
        ("model.proposal_nms=1.5", "model.proposal_nms must be from 0 to 1"),
        ("model.min_side=-1", "model.min_side must be 0 or more"),
        ("model.regions_per_image=0", "model.regions_per_image must be 1 or more"),
        ("model.negative_iou=0.8", "model.negative_iou 0.8 is above model.positive_iou 0.7"),
        ("model.background_iou=[0.5, 0.1]", "model.background_iou must be two rising shares"),
        ("model.background_iou=[0, 0.6]", "reaches past model.foreground_iou 0.5"),
        ("model.box_beta=0", "model.box_beta must be above 0"),
        ("model.class_weight=-1", "model.class_weight must be 0 or more"),
        ("model.backbone.family=cifar", "model.backbone.depth must be one of 20"),
        ("train.sizes=[[0, 64]]", "train.sizes is a setting of classification and localization"),
        ("train.lr_batch=-1", "train.lr_batch must be 0 or more"),
        ("test.shorter=1200", "test.shorter 1200 is above test.longer 1000"),
        ("test.scales=[600, 200]", "test.scales must rise"),
        ("test.max_detections=0", "test.max_detections must be 1 or more"),
        ("test.nms_iou=2", "test.nms_iou must be from 0 to 1"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(word, line):
    with pytest.raises(UsageError) as caught:
        override(DetConfig, {}, [word], "config")
    assert line in str(caught.value)


def test_four_steps_are_for_a_trunk_that_ends_at_conv4():
    words = ["model.neck=fpn", "model.schedule=alternating", "model.anchor_sizes=[32, 64, 128, 256, 512]"]
    with pytest.raises(UsageError, match=r"model\.schedule must be joint for fpn"):
        override(DetConfig, {}, words, "config")


def test_a_rate_for_a_batch_of_its_own_follows_the_batch_size():
    assert TrainConfig(lr=0.08, lr_batch=16, batch_size=4).at_its_batch() == TrainConfig(lr=0.02, batch_size=4)
    assert TrainConfig(lr=0.08, batch_size=4).at_its_batch().lr == 0.08
