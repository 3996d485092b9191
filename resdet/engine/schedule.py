"""The learning rate at every step: by the clock, or by how training goes."""

from __future__ import annotations

import math

from resdet.config import TrainConfig
from resdet.errors import UsageError
from resdet.losses import MEASURED

TRAINING_ERROR = f"{MEASURED}top1_error"
SHARE = 0.02  # of a batch's error in the moving average: one batch alone strays by several percent


def learning_rate(epoch: float, how: TrainConfig) -> float:
    """What the clock says after ``epoch`` passes: a linear warm-up from 0, then steps or half a cosine to 0.

    Each step is to a tenth.  For ``plateau`` the rate stays: :class:`LearningRate` knows when it drops.
    """
    if epoch < how.warmup_epochs:
        return how.lr * epoch / how.warmup_epochs
    if how.schedule == "plateau":
        return how.lr
    if how.schedule == "step":
        return how.lr * 0.1 ** sum(epoch >= drop for drop in how.lr_drop_epochs)
    done = (epoch - how.warmup_epochs) / max(how.epochs - how.warmup_epochs, 1e-9)
    return how.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class LearningRate:
    """The rate of a run, with what it remembers of the run.

    - A warm-up of its own for very deep nets (Sec. 4.2, of the 110 layers): ``how.warmup_lr`` until the training error
      is below ``how.warmup_until_error`` %.  The error is a moving average over about the last 50 batches that starts
      at 100 %, so that no lucky batch ends it.
    - ``plateau`` (Sec. 3.4): a tenth each time that ``how.patience`` evaluations in a row were not better than the best
      before by more than ``how.threshold``.

    All of it is in :meth:`state`, a few plain numbers, for checkpoints and for the other processes.
    """

    def __init__(self, how: TrainConfig) -> None:
        self.how = how
        self.warming = how.warmup_until_error > 0
        self.training_error = 100.0  # %
        self.best = math.inf  # error that an evaluation found
        self.waited = 0  # evaluations since then
        self.drops = 0

    def __call__(self, epoch: float) -> float:
        """The rate of the step that is taken after ``epoch`` passes."""
        if self.warming:
            return self.how.warmup_lr
        return learning_rate(epoch, self.how) * 0.1**self.drops

    def saw_batch(self, error: float) -> None:
        """Take in the training error of one batch, %."""
        self.training_error += SHARE * (error - self.training_error)
        self.warming = self.warming and self.training_error >= self.how.warmup_until_error

    def saw_evaluation(self, error: float) -> None:
        """Take in an error of validation, lower is better."""
        if self.how.schedule != "plateau":
            return
        if error < self.best - self.how.threshold:
            self.best, self.waited = error, 0
            return
        self.waited += 1
        if self.waited >= self.how.patience:
            self.drops, self.waited = self.drops + 1, 0

    def state(self) -> list[float]:
        """All that it remembers."""
        return [float(self.warming), self.training_error, self.best, self.waited, self.drops]

    def restore(self, state: list[float]) -> None:
        """Go on from what :meth:`state` gave."""
        warming, self.training_error, self.best, waited, drops = state
        self.warming, self.waited, self.drops = bool(warming), int(waited), int(drops)


def training_error(values: dict[str, float]) -> float:
    """The batch's error in %, among what a step gave.

    Raises:
        UsageError: the model does not measure it, and so no warm-up can end by it.
    """
    if TRAINING_ERROR not in values:
        raise UsageError("train.warmup_until_error: this kind of model does not measure its training error")
    return values[TRAINING_ERROR]
