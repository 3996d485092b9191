"""The training loop: one page, no hooks; logging, saving and evaluation happen in the caller's ``after_step``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from resdet.backbones.resnet import freeze_batch_norm
from resdet.config import TrainConfig
from resdet.engine import distributed
from resdet.engine.failures import NotFinite, explaining
from resdet.engine.optim import AveragedWeights
from resdet.errors import UsageError
from resdet.losses import MEASURED, counted_over, shares_of_parts
from resdet.precision import autocast
from resdet.structures import ImageBatch, split


def train(
    model: nn.Module,
    batches: Iterable[ImageBatch],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    how: TrainConfig,
    *,
    device: torch.device,
    start: int,
    steps_per_epoch: int,
    rate: Callable[[float], float],
    average: AveragedWeights | None,
    after_step: Callable[[int, dict[str, float]], None],
    images_per_step: int = 0,
    size_settings: str = "data.size",
) -> None:
    """Take one optimizer step a batch, from step ``start`` on, until the batches end.

    Args:
        model: ``model(batch)`` gives named losses, each a mean over the batch; their sum is minimised.  What has a
            name that begins with :data:`~resdet.losses.MEASURED` is measured beside them and not minimised.  Losses
            that are divided by another number than that of images, ``model.counted(batch)`` counts by name.
        rate: the learning rate after so many epochs.
        average: of the same model, updated after each step.
        scaler: keeps fp16 gradients from vanishing; disabled for other precisions.
        after_step: called with the number of steps done, and the losses and what was measured as numbers.
        images_per_step: over all processes, where they may have unequal shares; 0: the shares are equal.
        size_settings: the config's names for how large images are, for messages.

    Raises:
        NotFinite: a loss is not; the parameters are as they were before that step.
        MemoryError, ConnectionError, InputError: as :func:`resdet.engine.failures.explaining`.
    """
    processes = distributed.processes_of(model)
    optimizer.zero_grad(set_to_none=True)
    for step, batch in enumerate(batches, start):
        set_training(model, how)
        torch.manual_seed(hash((how.seed, step)) & 0x7FFFFFFF)  # what a step draws depends on its number alone
        for group in optimizer.param_groups:
            group["lr"] = rate(step / steps_per_epoch)
        weight = len(batch) * processes / images_per_step if images_per_step else 1.0
        least = images_per_step // processes if images_per_step else len(batch)  # of any share: all take as many parts
        parts = split(batch, min(how.accumulate, least))
        with explaining(step, batch, how, size_settings), counted_over(processes, weight):
            values = _backward(model, parts, scaler, how.precision, device, step, weight)
        if how.clip_norm:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), how.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)  # here: what is tested between steps would have them in memory
        if average is not None:
            average.update(distributed.unwrap(model))
        after_step(step + 1, values)


def set_training(model: nn.Module, how: TrainConfig) -> None:
    """Training mode, but for batch norm where it is frozen."""
    model.train()
    if how.batch_norm == "frozen":
        freeze_batch_norm(model)


def check_precision(device: torch.device, precision: str) -> None:
    """Make sure that a device trains in a precision.

    Raises:
        UsageError: fp16 on the CPU.
    """
    if precision == "fp16" and device.type == "cpu":
        raise UsageError("train.precision fp16 needs CUDA, and the device is the CPU: fp32 and bf16 run on it")


def _backward(
    model: nn.Module,
    parts: Sequence[ImageBatch],
    scaler: torch.amp.GradScaler,
    precision: str,
    device: torch.device,
    step: int,
    weight: float,
) -> dict[str, float]:
    """Gradients of a batch's mean loss, computed in parts, one after another; what the model gave as numbers.

    However many the parts are, the gradients are those of one, to rounding, of the same anchors, regions or crops: a
    part draws its own, as many as one would draw of its images.  Batch norm that learns sees no more than a part.

    Args:
        weight: of this process's mean among those of all, which are averaged: 1 where the shares are equal.
    """
    sums: dict[str, float] = {}
    images = sum(map(len, parts))
    for place, (part, shares) in enumerate(zip(parts, _shares(model, parts), strict=True), 1):
        # asked in the forward pass, done in the backward one
        with distributed.averaging(model, now=place == len(parts)), autocast(device, precision):
            given = model(part.to(device))
        values = {name: value.float() for name, value in given.items()}
        if len(parts) > 1:
            values = {name: value * shares.get(name, len(part) / images) for name, value in values.items()}
        total = torch.stack([value for name, value in values.items() if not name.startswith(MEASURED)]).sum()
        # the host waits for the device here, once: everything that follows is queued behind the backward pass
        last, *numbers = torch.stack([total.detach(), *(value.detach() for value in values.values())]).tolist()
        for name, number in zip(given, numbers, strict=True):
            sums[name] = sums.get(name, 0.0) + number
        if not math.isfinite(last):
            raise NotFinite(step, sums, part)
        scaler.scale(total * weight).backward()
    return sums


def _shares(model: nn.Module, parts: Sequence[ImageBatch]) -> Sequence[Mapping[str, Tensor]]:
    """By name, what those losses of each part weigh that are no means over images: those weigh by their images."""
    counted = getattr(distributed.unwrap(model), "counted", None)
    if len(parts) == 1 or counted is None:
        return [{}] * len(parts)
    return shares_of_parts([counted(part) for part in parts])
