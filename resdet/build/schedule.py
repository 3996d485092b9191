"""Which images a training run takes, from its settings."""

from __future__ import annotations

from dataclasses import replace

from resdet.config import DataConfig, TrainConfig
from resdet.data.loading import Plan
from resdet.engine.distributed import Process


def plan(data: DataConfig, train: TrainConfig, images: int, me: Process) -> Plan:
    """Which images each step of a training run takes."""
    sizes = train.sizes or ((0.0, data.size),)
    endless = Plan(images, train.batch_size, 0, train.seed, sizes, 0, me.rank, me.processes)
    epochs = min(train.epochs, train.stop_epoch or train.epochs)
    return replace(endless, steps=max(1, round(epochs * endless.steps_per_epoch)))
