"""The localizer whose boxes an R-CNN learns from, as its settings name it."""

import cv2
import numpy as np
import pytest
import torch

from resdet import build
from resdet.config import LocConfig, RCNNConfig, override, to_dict
from resdet.data.records import Classes, Record, pack
from resdet.engine import checkpoint
from resdet.engine.checkpoint import Checkpoint
from resdet.engine.distributed import Process
from resdet.inference.rcnn import Proposing
from resdet.jobs.proposing import open_proposer, write_proposals

WORDS = (
    *("model.backbone.depth=18", "model.backbone.width=8", "model.neck=8", "model.anchor_sizes=[16]"),
    *("data.size=32", "data.resize=40", "test.scales=[40, 56]", "test.mirror=true"),
)


@pytest.mark.parametrize(("protocol", "sizes"), [("1-crop", [(32, 32)]), ("dense", [(80, 40)] * 2 + [(112, 56)] * 2)])
def test_it_looks_as_the_rcnns_settings_say_at_its_own_scales_and_is_opened_once(
    tmp_path, monkeypatch, protocol, sizes
):
    config = override(LocConfig, {}, WORDS, "test")
    state = build.build_localizer(config, 2).state_dict()
    checkpoint.save(tmp_path / "loc.pt", Checkpoint("loc", to_dict(config), ("a", "b"), ("a", "b"), 1, state))
    opened, load = [], checkpoint.load
    monkeypatch.setattr(checkpoint, "load", lambda file: opened.append(file) or load(file))
    words = [f"proposals.weights={tmp_path / 'loc.pt'}", f"proposals.protocol={protocol}"]
    words += ["proposals.kept=30", "proposals.nms_iou=0.8", "proposals.min_side=5"]
    proposer = open_proposer(override(RCNNConfig, {}, words, "test"), Process(0, 1, torch.device("cpu")))
    assert [(view.width, view.height) for view in proposer.protocol.views(200, 100)] == sizes
    assert opened == [tmp_path / "loc.pt"]
    assert proposer.rule == Proposing(kept=30, nms_iou=0.8, min_side=5)


def test_a_localizer_that_overflows_proposes_nothing_and_says_on_which_image(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((40, 40, 3), 200, np.uint8))
    config = override(LocConfig, {}, (*WORDS, "data.workers=0"), "test")
    state = build.build_localizer(config, 2).state_dict()
    state["backbone.conv1.weight"].fill_(3e38)
    checkpoint.save(tmp_path / "loc.pt", Checkpoint("loc", to_dict(config), ("a", "b"), ("a", "b"), 1, state))
    me, words = Process(0, 1, torch.device("cpu")), (f"proposals.weights={tmp_path / 'loc.pt'}",)
    records = pack(tmp_path, Classes(("a", "b"), ("a", "b")), [Record("a.png", 0, [(1, 1, 20, 20)], [0])])
    with pytest.raises(FloatingPointError, match=r"^a\.png: a score or a box found in it is not finite"):
        write_proposals(open_proposer(override(RCNNConfig, {}, words, "test"), me), tmp_path / "out", records, me, 0)
