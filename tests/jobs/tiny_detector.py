"""A small detector's checkpoint, weights at random."""

from pathlib import Path

import torch

from resdet.build import build_detector
from resdet.config import DetConfig
from resdet.engine.checkpoint import Checkpoint, save
from resdet.settings import override, to_dict

TINY = ("model.backbone.depth=18", "model.backbone.width=8", "model.rpn_channels=8", "model.pool_size=4",
        "model.anchor_sizes=[16, 32]", "test.proposals=10", "test.min_side=2", "test.shorter=64", "test.longer=128",
        "data.workers=0", "train.precision=fp32", "test.score_threshold=0")  # fmt: skip


def write_detector(file: Path, ids: tuple[str, ...], likeliest: str, *settings: str, seed: int = 0) -> Path:
    """Write one that calls nearly everything ``likeliest``; its names are ``the <id>``."""
    config = override(DetConfig, {}, (*TINY, *settings), "test")
    torch.manual_seed(seed)
    model = build_detector(config, len(ids))
    with torch.no_grad():
        model.head.cls.bias[ids.index(likeliest)] = 4.0
    save(file, Checkpoint("det", to_dict(config), ids, tuple(f"the {i}" for i in ids), 1, model.state_dict()))
    return file
