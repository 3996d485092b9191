"""A whole training run: resume, train, evaluate each epoch, save, log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from resdet.config import TrainConfig
from resdet.engine import checkpoint, distributed
from resdet.engine.checkpoint import Checkpoint
from resdet.engine.distributed import Process
from resdet.engine.log import MetricsLog
from resdet.engine.memory import keep_freed_memory
from resdet.engine.optim import AveragedWeights, learning_rate, sgd
from resdet.engine.train import train
from resdet.errors import InputError
from resdet.structures import ImageBatch


@dataclass(frozen=True)
class Run:
    """What a training run is made of.

    ``batches(start)`` gives the batches of every step from ``start`` on; ``evaluate(step)`` gives the metrics of the
    model as it stands, of which ``best_by`` (lower is better) decides what ``best.pt`` is.
    """

    out: Path
    how: TrainConfig
    steps: int
    steps_per_epoch: int
    batches: Callable[[int], Iterable[ImageBatch]]
    evaluate: Callable[[int], dict[str, Any]]
    best_by: str
    identity: Checkpoint  # task, config and classes; step, model and metrics are filled in at each save
    report: Callable[[int, dict[str, Any]], None]  # called after each step, and after each evaluation


def fit(run: Run, model: nn.Module, me: Process, *, resume: bool) -> None:
    """Train to the last step; ``last.pt``, ``best.pt`` and ``metrics.jsonl`` lie in ``run.out``.

    Raises:
        InputError: the folder holds a run and ``resume`` is not set; or a run of another config is resumed.
        FloatingPointError: a loss is not finite.
    """
    if me.device.type == "cpu":
        keep_freed_memory()
    state = _State(run, model, me)
    state.restore(resume)
    if state.step >= run.steps:
        return
    train(
        distributed.wrap(model, me),
        run.batches(state.step),
        state.optimizer,
        state.scaler,
        run.how,
        device=me.device,
        start=state.step,
        steps_per_epoch=run.steps_per_epoch,
        average=state.average,
        after_step=state.after_step,
    )
    state.close()


class _State:
    """What changes while a run goes on."""

    def __init__(self, run: Run, model: nn.Module, me: Process) -> None:
        self.run, self.model, self.me = run, model, me
        self.step = 0
        self.best = float("inf")
        self.optimizer = sgd(model, run.how)
        self.scaler = torch.amp.GradScaler(me.device.type, enabled=run.how.precision == "fp16")
        self.average = AveragedWeights(model, run.how.ema) if run.how.ema else None
        self.log: MetricsLog | None = None
        self.since, self.images = time.perf_counter(), 0
        self.eval_steps = max(1, round(run.how.eval_every * run.steps_per_epoch))

    def restore(self, resume: bool) -> None:
        """Take up the run in the folder, or begin one."""
        last = self.run.out / "last.pt"
        if last.exists() and not resume:
            raise InputError(f"{self.run.out} holds a run already: --resume continues it, --out names another folder")
        if last.exists():
            saved = checkpoint.load(last)
            _check_same(self.run.identity.config, saved.config, last)
            self.model.load_state_dict(saved.resume["model"])
            self.optimizer.load_state_dict(saved.resume["optimizer"])
            self.scaler.load_state_dict(saved.resume["scaler"])
            if self.average is not None:
                self.average.load_state_dict(saved.resume["average"])
            self.step, self.best = saved.step, saved.resume["best"]
        if self.me.is_main and self.step < self.run.steps:
            self.log = MetricsLog(self.run.out, self.step)

    def after_step(self, step: int, losses: dict[str, float]) -> None:
        """Log, and at the end of an epoch evaluate and save."""
        self.step = step
        self.images += self.run.how.batch_size
        if not self.me.is_main:
            if self._evaluates(step):
                distributed.wait(self.me)
            return
        epoch = step / self.run.steps_per_epoch
        row = {"epoch": epoch, "loss": sum(losses.values()), **{f"loss/{k}": v for k, v in losses.items()}}
        if step % self.run.how.log_every == 0 or step == self.run.steps:
            row["lr"] = learning_rate((step - 1) / self.run.steps_per_epoch, self.run.how)
            row["images_per_s"] = self.images / (time.perf_counter() - self.since)
            self.since, self.images = time.perf_counter(), 0
            self._write(step, row)
        self.run.report(step, row)
        if self._evaluates(step):
            began = time.perf_counter()
            self._evaluate_and_save(step, epoch)
            self.since += time.perf_counter() - began  # the rate is training's alone
            distributed.wait(self.me)

    def _evaluates(self, step: int) -> bool:
        return step % self.eval_steps == 0 or step == self.run.steps

    def _evaluate_and_save(self, step: int, epoch: float) -> None:
        learning = {k: v.clone() for k, v in self.model.state_dict().items()}
        if self.average is not None:
            self.model.load_state_dict(self.average.state)
        self.model.eval()
        metrics = self.run.evaluate(step)
        self._write(step, {"epoch": epoch, **{f"val/{k}": v for k, v in metrics.items()}})
        self.run.report(step, {f"val/{k}": v for k, v in metrics.items()})
        found = replace(self.run.identity, step=step, metrics=metrics, model=self.model.state_dict())
        if metrics[self.run.best_by] <= self.best:
            self.best = metrics[self.run.best_by]
            checkpoint.save(self.run.out / "best.pt", found)
        progress = {
            "model": learning,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average is not None else {},
            "best": self.best,
        }
        checkpoint.save(self.run.out / "last.pt", replace(found, resume=progress))
        if self.average is not None:
            self.model.load_state_dict(learning)

    def _write(self, step: int, row: dict[str, Any]) -> None:
        if self.log is not None:
            self.log.write(step, row)

    def close(self) -> None:
        if self.log is not None:
            self.log.close()


def _check_same(now: dict[str, Any], saved: dict[str, Any], file: Path) -> None:
    """Resuming under other settings would be another run under the same name; what only paces it may change."""
    free = {"data.workers", "train.log_every", "train.eval_every", "train.accumulate"}
    old, new = _flat(saved), _flat(now)
    changed = [k for k in new if k not in free and not k.startswith("test.") and old.get(k) != new[k]]
    if changed:
        key = changed[0]
        raise InputError(f"{file} was trained with {key} = {old.get(key)!r}, now {new[key]!r}: not the same run")


def _flat(tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{path}{key}.") if isinstance(value, dict) else {path + key: value}
    return flat
