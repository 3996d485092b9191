"""Whole models that training starts from: held to the settings, heads and pyramids included."""

import pytest
import torch
from narrow_nets import IDS, SMALL, keep, photographs

from resdet import build
from resdet.config import DetConfig, LocConfig, override
from resdet.data.records import Classes
from resdet.errors import UsageError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "best.pt"


LOC_WORDS = (*SMALL, "model.neck=8", "model.anchor_sizes=[16]", "model.anchor_ratios=[1]")
DET_WORDS = (
    *SMALL[:2],
    "model.rpn_channels=8",
    "model.anchor_sizes=[16]",
    "model.anchor_ratios=[1]",
    "model.pool_size=2",
)
WHOLE = {
    "loc": (LocConfig, LOC_WORDS, build.build_localizer, build.start_localizer),
    "det": (DetConfig, DET_WORDS, build.build_detector, build.start_detector),
}


@pytest.mark.parametrize("task", WHOLE)
def test_whole_models_are_held_to_the_settings_too(file, task):
    kind, words, maker, start = WHOLE[task]
    config = override(kind, {}, (*words, "model.backbone.stem=3x3", "data.std=[1, 2, 3]"), "test")
    there = keep(file, task, config, maker(config, len(IDS)).eval())
    for stem in ("3x3-pool", "3x3"):
        config = override(kind, {}, (*words, f"model.backbone.stem={stem}", f"model.weights={file}"), "test")
        here = maker(config, len(IDS)).eval()
        if stem == "3x3-pool":
            with pytest.raises(UsageError, match=r"model\.backbone\.stem=3x3, the settings have 3x3-pool$"):
                start(here, config, Classes(IDS, IDS))
            continue
        start(here, config, Classes(IDS, IDS))
        pixels = photographs().float() - there.mean.view(1, 3, 1, 1)
        ours, theirs = (net.backbone.trunk(pixels / net.std.view(1, 3, 1, 1)) for net in (here, there))
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("task", "word", "line"),
    [
        ("det", "model.anchor_sizes=[16,32]", r"model\.anchor_sizes=\[16\], the settings have \[16,32\]$"),
        ("det", "model.anchor_ratios=[0.5,1]", r"model\.anchor_ratios=\[1\], the settings have \[0\.5,1\]$"),
        ("det", "model.rpn_channels=4", r"model\.rpn_channels=8, the settings have 4$"),
        ("det", "model.rpn_depth=2", r"model\.rpn_depth=1, the settings have 2$"),
        ("det", "model.context=true", r"model\.context=false, the settings have true$"),
        ("det", "model.unused_outputs=3", r"model\.unused_outputs=0, the settings have 3$"),
        ("loc", "model.anchor_sizes=[16,32]", r"model\.anchor_sizes=\[16\], the settings have \[16,32\]$"),
        ("loc", "model.neck=4", r"model\.neck=8, the settings have 4$"),
        ("loc", "model.feature=conv4", r"model\.feature=conv5, the settings have conv4$"),
    ],
)
def test_heads_of_other_settings_are_refused_by_the_setting(file, task, word, line):
    kind, words, maker, start = WHOLE[task]
    config = override(kind, {}, words, "test")
    keep(file, task, config, maker(config, len(IDS)))
    config = override(kind, {}, (*words, word, f"model.weights={file}"), "test")
    with pytest.raises(UsageError, match=rf"best\.pt: weights with {line}"):
        start(maker(config, len(IDS)), config, Classes(IDS, IDS))


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("model.fpn.norm=true", r"model\.fpn\.norm=false, the settings have true$"),
        ("model.fpn.box_layers=2", r"model\.fpn\.box_layers=1, the settings have 2$"),
        ("model.pool_size=3", r"model\.pool_size=2, the settings have 3$"),
    ],
)
def test_pyramids_of_other_settings_are_refused_by_the_setting(file, word, line):
    words = [*SMALL[:2], "model.neck=fpn", "model.rpn_channels=8", "model.anchor_sizes=[8,16,32,64,128]"]
    words += ["model.pool_size=2", "model.fpn.channels=8", "model.fpn.box_channels=8", "model.fpn.box_layers=1"]
    config = override(DetConfig, {}, words, "test")
    keep(file, "det", config, build.build_detector(config, len(IDS)))
    config = override(DetConfig, {}, (*words, word, f"model.weights={file}"), "test")
    with pytest.raises(UsageError, match=rf"best\.pt: weights with {line}"):
        build.start_detector(build.build_detector(config, len(IDS)), config, Classes(IDS, IDS))


def test_of_cocos_detector_vocs_takes_all_but_the_siblings(file):
    """App. B: its anchors are as many and may have other sizes; context is learnt anew with the classes."""
    config = override(DetConfig, {}, DET_WORDS, "test")
    there = keep(file, "det", config, build.build_detector(config, len(IDS)))
    config = override(
        DetConfig, {}, (*DET_WORDS, f"model.weights={file}", "model.context=true", "model.anchor_sizes=[24]"), "test"
    )
    here = build.build_detector(config, 2)
    build.start_detector(here, config, Classes(("a", "x"), ("a", "x")))
    theirs, ours = there.state_dict(), here.state_dict()
    assert {key for key in ours if not torch.equal(ours[key], theirs[key])} == {
        "head.cls.weight", "head.cls.bias", "head.reg.weight", "head.reg.bias"
    }  # fmt: skip
