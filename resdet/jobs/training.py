"""What ``tools/train_*.py`` share: their arguments, their folder, and a run from settings and a model."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from resdet import build, options
from resdet.cli import check_folder
from resdet.config import ClsConfig, DetConfig, LocConfig, RCNNConfig, to_dict
from resdet.data.loading import TestImages, TrainingImages, training_loader
from resdet.data.records import Classes, Records
from resdet.engine import distributed, last_checkpoints
from resdet.engine.checkpoint import Checkpoint
from resdet.engine.distributed import Process
from resdet.engine.fit import Course, Run, fit
from resdet.errors import UsageError, naming
from resdet.jobs.folder_lock import locked
from resdet.jobs.training_data import TrainingData, check_enough
from resdet.progress import TrainingProgress
from resdet.structures import ImageBatch


def arguments(description: str | None, example: str) -> argparse.ArgumentParser:
    """``CONFIG [section.key=value ...] [--out DIR] [--resume] [--device D] [--debug]``."""
    parser = options.parser(description, f"example:\n  {example}")
    parser.add_argument("config", type=Path, help="YAML file; what it leaves out has the paper's value")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings on top of the file's")
    parser.add_argument("--out", type=options.folder, help="folder of the run (default: runs/<name of the config>)")
    parser.add_argument("--resume", action="store_true", help="continue the run in the folder, or begin it")
    options.add_device(parser)
    return parser


def out_folder(args: argparse.Namespace, config: ClsConfig | LocConfig | RCNNConfig | DetConfig) -> Path:
    """The folder of the run.

    Raises:
        UsageError: it cannot be a folder, or the run would write its checkpoints over weights that it starts from.
    """
    out: Path = args.out or Path("runs") / args.config.stem
    check_folder(out)
    holders: dict[str, Any] = {"model.backbone": config.model.backbone, "model": config.model}
    holders |= {"proposals": config.proposals} if isinstance(config, RCNNConfig) else {}
    for name, holder in holders.items():
        weights = getattr(holder, "weights", "")
        file = Path(weights.partition("=")[2] or weights)
        is_ours = file.parent.resolve() == out.resolve() and file.name in last_checkpoints.CHECKPOINTS
        if is_ours and not last_checkpoints.holds_run(out):
            raise UsageError(f"{name}.weights={weights}: this run would write over it: wanted another folder for --out")
    return out


def start(config: ClsConfig | LocConfig | RCNNConfig | DetConfig, device: str) -> Process:
    """Join the run on a device; the weights that are drawn next follow from the config's seed.

    Raises:
        UsageError: no such device; a batch that does not split evenly over the processes.
    """
    me = distributed.start(device)
    if config.train.batch_size % me.processes:
        raise UsageError(f"train.batch_size {config.train.batch_size} does not split over {me.processes} processes")
    torch.manual_seed(config.train.seed)
    return me


def mean_color(model: nn.Module) -> tuple[float, ...]:
    """RGB of the mean that a model subtracts, averaged where each pixel has its own: borders are filled with it."""
    mean: Tensor = model.mean  # type: ignore[assignment]  # (3,) or (3, size, size)
    return tuple(mean.flatten(1).mean(1).tolist()) if mean.dim() == 3 else tuple(mean.tolist())


def validation_images(config: ClsConfig | LocConfig, records: Records, side: int) -> TestImages:
    """Centre crops of ``side`` pixels; the resized shorter side is in the config's proportion to it."""
    return TestImages(records, round(config.data.resize * side / config.data.size), side)


def launch(
    task: str,
    config: ClsConfig | LocConfig,
    model: nn.Module,
    data: TrainingData,
    me: Process,
    *,
    evaluate: Callable[[TestImages], dict[str, Any]],
    best_by: str,
    out: Path,
    resume: bool,
) -> None:
    """Train ``model`` on crops as ``config`` says; the folder gets the resolved config, metrics and checkpoints.

    ``evaluate`` gets the validation images at the side that training has reached: a net that has only seen
    small crops says little about itself on large ones.
    """
    plan = build.plan(config.data, config.train, len(data.train), me)
    images = TrainingImages(data.train, config.augment, mean_color(model))

    def batches(start: int) -> Iterable[ImageBatch]:
        return training_loader(images, replace(plan, start=start), config.data.workers)

    def evaluate_at(step: int) -> dict[str, Any]:
        return evaluate(validation_images(config, data.val, plan.size_at(step - 1)))

    check_enough(config.data.train, data.train, me)
    together = min(plan.batch_size, plan.images)
    name_of, count = data.train.path, len(data.train)
    course = Course(plan.steps, plan.steps_per_epoch, batches, evaluate_at, best_by, name_of, count, together)
    run_course(task, config, model, data.train.classes, course, me, out=out, resume=resume)


def write_config(config: ClsConfig | LocConfig | RCNNConfig | DetConfig, out: Path) -> None:
    """Write all settings, resolved, into a run's folder."""
    file = out / "config.yaml"
    with naming(file):
        file.write_text(yaml.safe_dump(to_dict(config), sort_keys=False))


def run_course(
    task: str,
    config: ClsConfig | LocConfig | RCNNConfig | DetConfig,
    model: nn.Module,
    classes: Classes,
    course: Course,
    me: Process,
    *,
    out: Path,
    resume: bool,
) -> None:
    """Train ``model`` to the last step, from the first or from where a run was cut off.

    Raises:
        UsageError: another process is training into the folder; and what :func:`resdet.engine.fit.fit` raises.
    """
    progress = TrainingProgress(course.steps, course.images_per_step or config.train.batch_size)
    run = Run(
        course,
        out,
        how=config.train.at_its_batch(),
        identity=Checkpoint(task, to_dict(config), classes.ids, classes.names, 0, {}),
        report=progress if me.is_main else lambda step, row: None,
        tell=progress.say if me.is_main else lambda line: None,
        begun=partial(write_config, config, out) if me.is_main else lambda: None,
    )
    with locked(out) if me.is_main else nullcontext():
        fit(run, model, me, resume=resume)
    progress.close()
