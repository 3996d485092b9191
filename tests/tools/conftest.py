"""Tiny trained models for the tests of the scripts: ResNet-18 on 32 pixels, three classes, weights at random."""

from pathlib import Path

import pytest
import torch
from detecting import write_weights

from resdet.build import build_classifier, build_localizer
from resdet.config import ClsConfig, LocConfig
from resdet.engine.checkpoint import Checkpoint, save
from resdet.settings import override, to_dict

TINY = (
    "data.size=32",
    "data.resize=32",
    "data.workers=0",
    "model.backbone.depth=18",
    "model.backbone.stem=3x3",
    "train.precision=fp32",
    "test.batch_size=4",
)
IDS, NAMES = ("n01", "n02", "n03"), ("cat", "dög", "热狗")


@pytest.fixture(scope="session")
def loc_weights(tmp_path_factory) -> Path:
    config = override(LocConfig, {}, (*TINY, "model.neck=8", "model.anchor_sizes=[16]", "test.scales=[32, 48]"), "test")
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "loc.pt"
    save(file, Checkpoint("loc", to_dict(config), IDS, NAMES, 1, build_localizer(config, 3).state_dict()))
    return file


@pytest.fixture(scope="session")
def cls_weights(tmp_path_factory) -> Path:
    """Its classes are in another order than the localizer's, and it says "n02" of every image."""
    config = override(ClsConfig, {}, TINY, "test")
    torch.manual_seed(1)
    model = build_classifier(config, 3)
    with torch.no_grad():
        model.backbone.fc.weight.zero_()
        model.backbone.fc.bias.copy_(torch.tensor([1.0, 3.0, 2.0]))
    file = tmp_path_factory.mktemp("weights") / "cls.pt"
    save(
        file,
        Checkpoint("cls", to_dict(config), ("n03", "n02", "n01"), ("hot dog", "dog", "cat"), 1, model.state_dict()),
    )
    return file


@pytest.fixture(scope="session")
def det_weights(tmp_path_factory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights") / "det.pt")
