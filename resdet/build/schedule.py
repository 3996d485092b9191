"""Which images a training run takes, from its settings."""

from __future__ import annotations

from dataclasses import replace

import torch

from resdet.config import DataConfig, DetConfig, RCNNConfig, TrainConfig
from resdet.data.grouping import GroupedPlan, wide_images
from resdet.data.plan import Plan
from resdet.data.records import Records
from resdet.engine.distributed import Process


def plan(data: DataConfig, train: TrainConfig, images: int, me: Process) -> Plan:
    """Which images each step of a training run takes."""
    sizes = train.sizes or ((0.0, data.size),)
    endless = Plan(images, train.batch_size, 0, train.seed, sizes, 0, me.rank, me.processes)
    return replace(endless, steps=_steps(train, endless.steps_per_epoch))


def detection_plan(config: DetConfig | RCNNConfig, records: Records, me: Process) -> GroupedPlan:
    """The same for whole images: wide images together and tall ones together where the config says so."""
    data, train = config.data, config.train
    groups = wide_images(records) if data.group else torch.zeros(len(records), dtype=torch.bool)
    low, high = (round(data.shorter * factor) for factor in config.augment.scale)
    endless = GroupedPlan(groups, train.batch_size, 0, train.seed, (low, high), 0, me.rank, me.processes)
    return replace(endless, steps=_steps(train, endless.steps_per_epoch))


def _steps(train: TrainConfig, steps_per_epoch: int) -> int:
    epochs = min(train.epochs, train.stop_epoch or train.epochs)
    return max(1, round(epochs * steps_per_epoch))
