"""A network of a few numbers and batches that follow from a step's number: what the engine's tests train."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from resdet.config import ClsConfig, TrainConfig, to_dict
from resdet.engine.checkpoint import Checkpoint
from resdet.engine.distributed import Process
from resdet.engine.fit import Course, Run, fit
from resdet.engine.optim import sgd
from resdet.engine.train import train
from resdet.losses import MEASURED
from resdet.structures import ImageBatch, Target

ALONE = Process(0, 1, torch.device("cpu"))
HOW = TrainConfig(
    epochs=3.0, batch_size=8, lr=0.05, lr_drop_epochs=(2.0,), ema=0.9, log_every=1, save_every=0, channels_last=False
)
STEPS_PER_EPOCH = 4


class TinyNet(nn.Module):
    """A convolution with batch norm, a classifier, and a layer that only a second loss uses.

    Where it ``measures``, it gives its error too: in %, and with a gradient, which nobody may use.
    """

    def __init__(self, seed=0, second_loss=False, dropout=0.0, measures=False):
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(dropout)
        self.fc = nn.Linear(4, 3)
        self.second = nn.Linear(4, 1)
        self.second_loss, self.measures = second_loss, measures

    def forward(self, batch):
        x = functional.relu(self.bn(self.conv(batch.images.float() / 255)))
        x = self.drop(x.mean((2, 3)))
        logits = self.fc(x)
        losses = {"class": functional.cross_entropy(logits, batch.labels)}
        if self.second_loss:
            losses["second"] = self.second(x).square().mean()
        if self.measures:
            wrong = (logits.argmax(1) != batch.labels).float()
            losses[f"{MEASURED}top1_error"] = 100 * wrong.mean() + 0 * logits.sum()
        return losses


def batch_of(step, images=8):
    draw = torch.Generator().manual_seed(step)
    pixels = torch.randint(0, 256, (images, 3, 6, 6), generator=draw, dtype=torch.uint8)
    labels = torch.randint(0, 3, (images,), generator=draw).tolist()
    empty = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    return ImageBatch(pixels, tuple(Target(label, *empty) for label in labels), tuple(range(images)))


def batches(start, steps=12):
    return [batch_of(step) for step in range(start, steps)]


def take_steps(model, batches, how, rate, *, start=0, steps_per_epoch=1, average=None, images_per_step=0):
    """One step a batch, on the CPU; what was told after each: its number and the losses."""
    told = []
    train(
        model,
        batches,
        sgd(model, how),
        torch.amp.GradScaler("cpu", enabled=False),
        how,
        device=torch.device("cpu"),
        start=start,
        steps_per_epoch=steps_per_epoch,
        rate=rate,
        average=average,
        after_step=lambda step, values: told.append((step, values)),
        images_per_step=images_per_step,
    )
    return told


def run_of(out, model, how=HOW, *, report=lambda step, row: None, evaluate=None, steps=12):
    """A run in ``out`` whose error is the mean of the weights that are evaluated."""
    config = to_dict(replace(ClsConfig(), train=how))

    def mean_weight(step):
        return {"loss": 1.0, "error": model.fc.weight.mean().item()}

    course = Course(steps, STEPS_PER_EPOCH, lambda start: batches(start, steps), evaluate or mean_weight, "error")
    identity = Checkpoint("cls", config, ("a", "b", "c"), ("A", "B", "C"), 0, {})
    return Run(course, out, how, identity, report)


def with_course(run, **changes):
    return replace(run, course=replace(run.course, **changes))


class Cut(Exception):
    """What ends a run in the middle."""


def rows(folder):
    """What was logged, without what the clock says."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "images_per_s"} for line in lines]


def equal(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, dict):
            assert equal(value, other[key])
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, other[key]), key
        else:
            assert value == other[key] or isinstance(value, list), key
    return True


def weights(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def interrupted(out, how, where, **net):
    """Run until ``where(step, row)`` is true, then stop as a crash would."""
    model = TinyNet(dropout=0.3, **net)

    def report(step, row):
        if where(step, row):
            raise Cut

    with pytest.raises(Cut):
        fit(run_of(out, model, how, report=report), model, ALONE, resume=False)
