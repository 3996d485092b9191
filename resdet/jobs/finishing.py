"""After training: batch norm's statistics recomputed over training images, and what that does to the errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from resdet import build
from resdet.backbones.weights import load_into
from resdet.config import ClsConfig, to_dict
from resdet.data.loading import TestImages, TrainingImages, training_loader
from resdet.data.plan import Plan
from resdet.engine import checkpoint
from resdet.engine.batch_norm import recompute
from resdet.engine.checkpoint import Checkpoint
from resdet.engine.distributed import Process
from resdet.engine.last_checkpoints import check_same
from resdet.engine.train import check_precision
from resdet.errors import InputError, UsageError
from resdet.jobs.training import mean_color, validation_images
from resdet.jobs.training_data import TrainingData
from resdet.progress import follow


@dataclass(frozen=True)
class Finished:
    """A finished run: its file, and its errors before and after."""

    file: Path  # a checkpoint like best.pt
    images: int  # that the statistics are of
    before: dict[str, Any]  # metrics with training's moving averages
    after: dict[str, Any]


def finish(
    config: ClsConfig,
    model: nn.Module,
    data: TrainingData,
    me: Process,
    *,
    evaluate: Callable[[TestImages], dict[str, Any]],
    out: Path,
) -> Finished:
    """Recompute batch norm's statistics of the ended run in ``out`` and save ``finished.pt`` there.

    The weights are ``best.pt``'s, ``last.pt``'s where there is no best.  The images are ``train.batch_norm_images`` of
    the training set, none twice, in batches of the size that one process trains on, and with training's random crops:
    the weights were fitted to those.  Their colours are left as they are: jitter would widen every variance, and the
    images that the weights are used on have none.

    Args:
        model: of the config, on its device; its weights are replaced.

    Raises:
        UsageError: the statistics were frozen, no images are asked for, fp16 on the CPU, or several processes.
        InputError: no finished run is there, or one of other settings or classes.
    """
    _check_usable(config, me)
    plan = build.plan(config.data, config.train, len(data.train), me)
    side = plan.size_at(plan.steps - 1)
    classes = data.train.classes
    identity = Checkpoint("cls", to_dict(config), classes.ids, classes.names, 0, {})
    file, trained = _trained(out, identity, plan.steps)
    load_into(model, trained.model, source=str(file))

    val = validation_images(config, data.val, side)
    before = evaluate(val)
    draws = _draws(config, len(data.train), side)
    without_colours = replace(config.augment, color_probability=0.0, pca_lighting=0.0)
    images = TrainingImages(data.train, without_colours, mean_color(model), exact=True)
    batches = training_loader(images, draws, config.data.workers)
    count = recompute(model, follow(batches, len(batches), "batch norm"), me.device, config.train.precision)
    after = evaluate(val)

    finished = replace(trained, config=identity.config, model=model.state_dict(), metrics=after, resume={})
    checkpoint.save(out / "finished.pt", finished)
    return Finished(out / "finished.pt", count, before, after)


def _check_usable(config: ClsConfig, me: Process) -> None:
    if me.processes > 1:
        raise UsageError("--finish runs as one process: start it with python, not with torchrun")
    if config.train.batch_norm == "frozen":
        raise UsageError("train.batch_norm is frozen: the weights were fitted to the statistics that they have")
    if not config.train.batch_norm_images:
        raise UsageError("train.batch_norm_images is 0: there is nothing to finish")
    check_precision(me.device, config.train.precision)


def _trained(out: Path, identity: Checkpoint, steps: int) -> tuple[Path, Checkpoint]:
    last = out / "last.pt"
    if not last.exists():
        raise InputError(f"{out} holds no run to finish: train first, or name its folder with --out")
    saved = checkpoint.load(last)
    check_same(identity, saved, last)
    if saved.step < steps:
        raise InputError(f"{last} is of step {saved.step} of {steps}: end the run first, with --resume")
    best = out / "best.pt"
    if not best.exists():
        return last, saved
    found = checkpoint.load(best)
    check_same(identity, found, best)
    return best, found


def _draws(config: ClsConfig, images: int, side: int) -> Plan:
    """Whole batches, of the size that batch norm sees where one process trains, and at least one."""
    batch = min(config.train.batch_size // config.train.accumulate, images)
    steps = max(1, min(config.train.batch_norm_images, images) // batch)
    return Plan(images, batch, steps, config.train.seed, ((0.0, side),))
