"""A small detector, and tools/infer.py run with it."""

import json
import runpy
from pathlib import Path

import torch

from resdet import cli
from resdet.build import build_detector
from resdet.config import DetConfig
from resdet.engine.checkpoint import Checkpoint, save
from resdet.settings import override, to_dict

INFER = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "infer.py"))
IDS = ("ant", "bee", "cat")
TINY = ("model.backbone.depth=18", "model.backbone.width=8", "model.rpn_channels=8", "model.pool_size=4",
        "model.anchor_sizes=[16, 32]", "test.proposals=10", "test.min_side=2", "test.shorter=64", "test.longer=128",
        "data.workers=0", "train.precision=fp32", "test.batch_size=2")  # fmt: skip
EVERY = "jsonl,csv,coco,voc,devkit,images"


def write_weights(file, ids=IDS, seed=0, lift=3.0):
    """A detector that says "bee" of nearly every region, and of some more than of others."""
    config = override(DetConfig, {}, TINY, "test")
    torch.manual_seed(seed)
    model = build_detector(config, len(ids))
    with torch.no_grad():
        model.head.cls.bias[ids.index("bee") if "bee" in ids else 0] = lift
    save(file, Checkpoint("det", to_dict(config), ids, tuple(f"the {i}" for i in ids), 1, model.state_dict()))
    return file


def infer(*words):
    return cli.run(INFER["main"], ["--device", "cpu", *(str(word) for word in words)])


def rows(out):
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
