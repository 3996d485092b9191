"""Gradients of two processes are those of one with the batch of both: of every kind of model, to a millionth."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resdet.build import build_classifier, build_detector, build_localizer
from resdet.config import ClsConfig, DetConfig, LocConfig, TrainConfig
from resdet.engine import distributed
from resdet.engine.distributed import Process, start
from resdet.engine.optim import sgd
from resdet.engine.train import set_training, train
from resdet.settings import override
from resdet.structures import ImageBatch, Target

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from several import together

HOW = TrainConfig(batch_size=4, lr=1.0, momentum=0.0, weight_decay=0.0, batch_norm="frozen", channels_last=False)
ALONE = Process(0, 1, torch.device("cpu"))
SMALL = ("model.backbone.depth=18", "model.backbone.width=8", "data.size=64")
KINDS = {
    "cls": (ClsConfig, build_classifier, SMALL),
    "loc": (LocConfig, build_localizer, (*SMALL, "model.neck=8", "model.anchor_sizes=[16, 32]",
                                         "model.anchors_per_image=100000")),
    "det": (DetConfig, build_detector, (*SMALL[:2], "model.rpn_channels=16", "model.anchor_sizes=[24, 40]",
            "model.pool_size=4", "model.min_side=4", "model.inside_anchors=false", "model.proposals=20",
            "model.anchors_per_image=200", "model.anchor_positive=1", "model.regions_per_image=32",
            "model.region_positive=1")),
}  # fmt: skip  # samples are as large as what they are drawn from: two processes draw other numbers than one


def images(count):
    """One without an object, where boxes are learnt in whole images; others with one or two."""
    draw = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (count, 3, 64, 64), generator=draw, dtype=torch.uint8)
    targets = []
    for i in range(count):
        corner = torch.randint(0, 30, (1 + i % 2, 2), generator=draw).float()
        boxes = torch.cat((corner, corner + 24), 1)
        targets.append(Target(i % 3, boxes, torch.full((len(boxes),), i % 3)))
    return ImageBatch(pixels, tuple(targets), tuple(range(count)))


def share(batch, rank, processes):
    columns = (batch.images, batch.targets, batch.indices)
    return ImageBatch(*(column[rank::processes] for column in columns))


def step(task, me, count):
    """The weights' change in one step: their gradients, at a learning rate of 1."""
    kind, build, words = KINDS[task]
    torch.manual_seed(0)
    model = build(override(kind, {}, words, "test"), 3)
    batch = images(count)
    if task == "loc":  # its losses are means over all anchors of a process's images: of equal shares in equal numbers
        batch = replace(batch, targets=batch.targets[:1] * count)
    if task == "det":
        batch = replace(batch, targets=(Target(-1, torch.zeros(0, 4), torch.zeros(0).long()), *batch.targets[1:]))
    set_training(model, HOW)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    train(
        distributed.wrap(model, me),
        [share(batch, me.rank, me.processes)],
        sgd(model, HOW),
        torch.amp.GradScaler("cpu", enabled=False),
        HOW,
        device=me.device,
        start=0,
        steps_per_epoch=1,
        rate=lambda epoch: 1.0,
        average=None,
        after_step=lambda step, values: None,
        images_per_step=count,
    )
    return {name: before[name] - value.detach() for name, value in model.named_parameters()}


@pytest.mark.parametrize(("task", "count"), [("cls", 4), ("cls", 3), ("loc", 4), ("det", 4)])
def test_two_processes_give_the_gradients_of_one_with_the_doubled_batch(tmp_path, task, count):
    """Of three images, one process has two and the other one."""

    def work(rank):
        torch.save(step(task, start("cpu"), count), tmp_path / f"{rank}.pt")

    together(2, work)
    expected = step(task, ALONE, count)
    largest = max(gradient.abs().max().item() for gradient in expected.values())
    assert math.isfinite(largest) and largest > 0.1
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            assert (found[name] - gradient).abs().max() <= 1e-6 * largest, name
