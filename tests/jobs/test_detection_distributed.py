"""Two processes train a detector on images of several sizes as one does: on the CPU, over gloo."""

import sys
from pathlib import Path

import pytest
import torch

from resdet.config import DetConfig
from resdet.engine import checkpoint
from resdet.engine.distributed import Process, start
from resdet.jobs import detection_training
from resdet.jobs.training_data import open_detection_data
from resdet.settings import override

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from several import together
from tiny_voc import draw, specs

# all that can be is drawn: two processes draw other numbers than one
WORDS = (
    "data.shorter=64", "data.longer=96", "data.workers=0", "data.group=false", "augment.mirror=0",
    "model.backbone.depth=18", "model.backbone.width=8", "model.rpn_channels=16", "model.anchor_sizes=[24, 40]",
    "model.pool_size=4", "model.min_side=4", "model.inside_anchors=false", "model.proposals=20",
    "model.anchors_per_image=200", "model.anchor_positive=1", "model.regions_per_image=32", "model.region_positive=1",
    "train.epochs=1", "train.batch_size=2", "train.lr=0.01", "train.schedule=cosine", "train.save_every=0",
    "test.shorter=64", "test.longer=96", "test.proposals=10", "test.min_side=4",
)  # fmt: skip


def train(me, folder, out):
    config = override(DetConfig, {}, (*WORDS, *specs(folder)), "test")
    torch.manual_seed(me.rank)
    detection_training.launch(config, open_detection_data(config), me, out=out, resume=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A set, ``one`` run of one process and ``two`` of two."""
    folder = tmp_path_factory.mktemp("processes")
    draw(folder / "set")
    together(2, lambda rank: train(start("cpu"), folder / "set", folder / "two"))
    train(Process(0, 1, torch.device("cpu")), folder / "set", folder / "one")
    return folder


def test_two_processes_end_with_the_weights_of_one(folder):
    one, two = (checkpoint.load(folder / out / "last.pt") for out in ("one", "two"))
    assert one.step == two.step == 3
    torch.manual_seed(0)  # as training draws its first weights
    begun = detection_training.build.build_detector(override(DetConfig, {}, WORDS, "test"), 3).state_dict()
    for name, value in one.model.items():
        learnt = (value - begun[name]).abs().max().item()
        torch.testing.assert_close(two.model[name], value, rtol=1e-4, atol=max(1e-6, 1e-3 * learnt), msg=name)


def test_both_are_evaluated_alike(folder):
    one, two = (checkpoint.load(folder / out / "last.pt").metrics for out in ("one", "two"))
    assert one["mAP"] == pytest.approx(two["mAP"], abs=1e-3)
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-3)
