"""A whole training run: resume, train, evaluate each epoch, save, log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from resdet.config import TrainConfig
from resdet.engine import checkpoint, distributed, last_checkpoints
from resdet.engine.checkpoint import Checkpoint
from resdet.engine.distributed import Process
from resdet.engine.failures import NotFinite, is_out_of_memory, told
from resdet.engine.log import MetricsLog
from resdet.engine.memory import keep_freed_memory
from resdet.engine.optim import AveragedWeights, load_optimizer, sgd
from resdet.engine.schedule import LearningRate, training_error
from resdet.engine.train import check_precision, set_training, train
from resdet.engine.training_means import TrainingMeans
from resdet.errors import InputError
from resdet.losses import MEASURED
from resdet.structures import ImageBatch
from resdet.tensor_file import first_sentence


@dataclass(frozen=True)
class Course:
    """The steps of a run and what it is judged by, which each task has its own of.

    ``batches(start)`` gives the batches of every step from ``start`` on; ``evaluate(step)`` gives the metrics of the
    model as it stands, of which ``best_by`` (lower is better) decides what ``best.pt`` is.
    """

    steps: int
    steps_per_epoch: int
    batches: Callable[[int], Iterable[ImageBatch]]
    evaluate: Callable[[int], dict[str, Any]]
    best_by: str
    name_of: Callable[[int], str] = str  # an image's path by its index
    images: int = 0  # of the training set
    images_per_step: int = 0  # over all processes, where it is not `train.batch_size`
    size_settings: str = "data.size"  # the config's names for how large images are


@dataclass(frozen=True)
class Run:
    """A course taken in a folder: what is to be done, how, and whom it tells."""

    course: Course
    out: Path
    how: TrainConfig
    identity: Checkpoint  # task, config and classes; step, model and metrics are filled in at each save
    report: Callable[[int, dict[str, Any]], None]  # called after each step, and after each evaluation
    tell: Callable[[str], None] = lambda line: None  # called with what a person should know, a line at a time
    begun: Callable[[], None] = lambda: None  # called when it is known that this run, and no other, begins or goes on


def fit(run: Run, model: nn.Module, me: Process, *, resume: bool) -> None:
    """Train to the last step; ``last.pt``, ``before-last.pt``, ``best.pt`` and ``metrics.jsonl`` lie in ``run.out``.

    Killed at any moment and resumed, a run ends as it would have ended: to the bit on a CPU with the same number of
    threads and of processes, elsewhere but for what kernels round, or draw, otherwise.

    Raises:
        UsageError: the folder holds a run and ``resume`` is not set; or fp16 is to run on the CPU.
        InputError: what is to be resumed is another run: of other settings, classes, another task or number of images;
            or is damaged, and the checkpoint before it too.
        OSError: a checkpoint cannot be written; those before it are whole.
        FloatingPointError: a loss is not finite; its images are named, and their batch is in ``not-finite.pt``.  Or
            an evaluation's is not, or the error it finds: the step is named, and neither best nor last is saved.
        MemoryError, ConnectionError: as :func:`resdet.engine.train.train`.
    """
    check_precision(me.device, run.how.precision)
    if me.device.type == "cpu":
        keep_freed_memory()
    course = run.course
    set_training(model, run.how)  # what is frozen must be so before the optimizer and DDP look for what learns
    state = _State(run, model, me)
    state.restore(resume)
    run.begun()
    if state.step >= course.steps:
        run.tell(f"{run.out}: ended already, at step {state.step} of {course.steps}")
        return
    try:
        with _closing(state):
            train(
                distributed.wrap(model, me),
                course.batches(state.step),
                state.optimizer,
                state.scaler,
                run.how,
                device=me.device,
                start=state.step,
                steps_per_epoch=course.steps_per_epoch,
                rate=state.rate,
                average=state.average,
                after_step=state.after_step,
                images_per_step=course.images_per_step,
                size_settings=course.size_settings,
            )
    except NotFinite as error:
        raise told(error, model, run.out, me.rank, course.name_of) from None


@contextmanager
def _closing(state: _State) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the disk that may have stopped the run is full for TensorBoard too
            state.close()
        raise
    state.close()


class _State:
    """What changes while a run goes on."""

    def __init__(self, run: Run, model: nn.Module, me: Process) -> None:
        self.run, self.course, self.model, self.me = run, run.course, model, me
        self.step = 0
        self.best = float("inf")
        self.metrics: dict[str, Any] = {}  # of the last evaluation
        self.measured = TrainingMeans()  # since then
        self.rate = LearningRate(run.how)
        self.optimizer = sgd(model, run.how)
        self.scaler = torch.amp.GradScaler(me.device.type, enabled=run.how.precision == "fp16")
        self.average = AveragedWeights(model, run.how.ema) if run.how.ema else None
        self.log: MetricsLog | None = None
        self.last_is_whole = True  # the file last.pt, where there is one
        self.since, self.images = time.perf_counter(), 0
        self.eval_steps = max(1, round(run.how.eval_every * self.course.steps_per_epoch))

    def restore(self, resume: bool) -> None:
        """Take up the run in the folder, or begin one."""
        out = self.run.out
        last_checkpoints.check_free(out, resume)
        if found := last_checkpoints.newest(out, self.run.tell):
            file, saved = found
            last_checkpoints.check_same(self.run.identity, saved, file)
            last_checkpoints.check_same_images(self.run.course.images, saved, file)
            self._go_on_from(file, saved)
            self.last_is_whole = file.name == last_checkpoints.LAST
        steps = distributed.gather(self.step, self.me)
        if len(set(steps)) > 1:
            at = ", ".join(map(str, steps))
            raise InputError(f"{out}: the processes found steps {at} in it: each must see the same folder")
        if self.me.is_main and self.step < self.course.steps:
            self.log = MetricsLog(out, self.step)

    def _go_on_from(self, file: Path, saved: Checkpoint) -> None:
        try:
            self._take(saved)
        except Exception as error:  # torch trips in every way over what is not there, or of another shape or type
            if is_out_of_memory(error):
                raise
            why = f"not of this network, or of another version: {first_sentence(error)}"
            raise InputError(f"{file}: cannot be gone on with, {why}") from None

    def _take(self, saved: Checkpoint) -> None:
        self.model.load_state_dict(saved.resume["model"])
        load_optimizer(self.optimizer, saved.resume["optimizer"])
        self.scaler.load_state_dict(saved.resume["scaler"])
        if self.average is not None:
            self.average.load_state_dict(saved.resume["average"])
        self.step, self.best, self.metrics = saved.step, float(saved.resume["best"]), saved.metrics
        if "rate" in saved.resume:  # the first checkpoints were without
            self.rate.restore(saved.resume["rate"])
            self.measured.restore(saved.resume["measured"])

    def after_step(self, step: int, values: dict[str, float]) -> None:
        """Log, at the end of an epoch evaluate, and save then and every now and then."""
        self.step = step
        if self.rate.warming:
            self.rate.saw_batch(distributed.mean(training_error(values), self.me))
        evaluates = step % self.eval_steps == 0 or step == self.course.steps
        saves = self.run.how.save_every and step % self.run.how.save_every == 0
        if self.me.is_main:
            self._log(values)
            began = time.perf_counter()
            if evaluates:
                self._evaluate()
            if evaluates or saves:
                self._save_last()
            self.since += time.perf_counter() - began  # the rate is training's alone
        if evaluates:
            distributed.wait(self.me)
            self.rate.restore(distributed.from_main(self.rate.state(), self.me))

    @property
    def epoch(self) -> float:
        return self.step / self.course.steps_per_epoch

    def _log(self, values: dict[str, float]) -> None:
        self.images += self.course.images_per_step or self.run.how.batch_size
        losses = {name: value for name, value in values.items() if not name.startswith(MEASURED)}
        measured = {name: value for name, value in values.items() if name not in losses}
        self.measured.add(measured)
        row = {"epoch": self.epoch, "loss": sum(losses.values()), **{f"loss/{k}": v for k, v in losses.items()}}
        row |= measured
        if self.step % self.run.how.log_every == 0 or self.step == self.course.steps:
            row["lr"] = self.optimizer.param_groups[0]["lr"]
            row["images_per_s"] = self.images / (time.perf_counter() - self.since)
            self.since, self.images = time.perf_counter(), 0
            self._write(row)
        self.run.report(self.step, row)

    def _evaluate(self) -> None:
        learning = None
        if self.average is not None:
            learning = {k: v.clone() for k, v in self.model.state_dict().items()}
            self.model.load_state_dict(self.average.state)
        self.model.eval()
        try:
            self.metrics = self._finite(self.course.evaluate(self.step))
        except FloatingPointError as fault:
            hint = "training has diverged, a lower train.lr or train.clip_norm helps"
            raise FloatingPointError(f"step {self.step}: evaluated, {fault}; {hint}") from fault
        finally:
            if learning is not None:
                self.model.load_state_dict(learning)
        row = {**self.measured.take(), **{f"val/{k}": v for k, v in self.metrics.items()}}
        self._write({"epoch": self.epoch, **row})
        self.run.report(self.step, row)
        error = float(self.metrics[self.course.best_by])
        if self.step % self.eval_steps == 0:  # not where a run is cut short: resumed, it would be another
            self.rate.saw_evaluation(error)
        if error <= self.best:
            self.best = error
            checkpoint.save(self.run.out / "best.pt", self._checkpoint())

    def _finite(self, metrics: dict[str, Any]) -> dict[str, Any]:
        """The metrics, where the losses and what decides are numbers: of others a run learns nothing more."""
        for name, value in metrics.items():
            if (name == self.course.best_by or name.startswith("loss")) and not math.isfinite(value):
                raise FloatingPointError(f"{name} is {value}")
        return metrics

    def _checkpoint(self) -> Checkpoint:
        weights = self.model.state_dict() if self.average is None else self.average.state
        return replace(self.run.identity, step=self.step, metrics=self.metrics, model=weights)

    def _save_last(self) -> None:
        progress = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average is not None else {},
            "best": self.best,
            "measured": self.measured.state(),
            "rate": self.rate.state(),
            "images": self.run.course.images,
        }
        if self.log is not None:
            self.log.to_disk()
        saved = replace(self._checkpoint(), resume=progress)
        last_checkpoints.keep(self.run.out, saved, last_is_whole=self.last_is_whole)
        self.last_is_whole = True

    def _write(self, row: dict[str, Any]) -> None:
        if self.log is not None:
            self.log.write(self.step, row)

    def close(self) -> None:
        if self.log is not None:
            self.log.close()
