"""The optimizer, its schedule, and how a run is paced."""

from __future__ import annotations

from dataclasses import dataclass, replace

from resdet.config.checks import MOST_PIXELS, at_least, at_most, each_above_zero, one_of, rising, share_below_one
from resdet.errors import UsageError


@dataclass(frozen=True)
class TrainConfig:
    epochs: float = 120.0
    stop_epoch: float = 0.0  # end here though the schedule goes on: a first stage under a time limit; 0: never
    batch_size: int = 256  # images a step over all devices
    # parts a step is computed in, one after another, for little memory: the gradients are the batch's, but where batch
    # norm learns it normalises a part by the part's own statistics
    accumulate: int = 1
    lr: float = 0.1  # for `lr_batch` images
    lr_batch: int = 0  # another `batch_size` scales lr with it, linearly (Goyal et al. 2017); 0: lr is for `batch_size`
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decay_norm_and_bias: bool = True  # the paper decays everything
    schedule: str = "step"  # or "cosine", or "plateau"
    warmup_epochs: float = 0.0  # lr rises linearly from 0
    warmup_until_error: float = 0.0  # %: lr is `warmup_lr` until the training error is below this; 0: no such warm-up
    warmup_lr: float = 0.01  # Sec. 4.2, of 110 layers: 0.01 until the error is below 80 %
    lr_drop_epochs: tuple[float, ...] = (30.0, 60.0, 90.0)  # for "step": lr is divided by 10 at each
    patience: int = 5  # for "plateau": lr is divided by 10 when so many evaluations in a row were no better
    threshold: float = 0.1  # for "plateau": better is by more than this, in the error's unit
    label_smoothing: float = 0.0
    mixup: float = 0.0  # alpha of Zhang et al. 2018: two images' weighted mean, the weight from Beta(alpha, alpha)
    sizes: tuple[tuple[float, int], ...] = ()  # progressive crops: (from epoch, side); () is data.size throughout
    clip_norm: float = 0.0  # largest norm of the gradient; 0: not clipped
    ema: float = 0.0  # decay of the averaged weights a step; 0: none
    batch_norm: str = "train"  # or "frozen": statistics and affine stay as they came
    batch_norm_images: int = 51_200  # --finish averages batch norm's statistics over so many, or all; 0: it does not
    precision: str = "fp32"  # or "bf16", "fp16" (CUDA, with loss scaling)
    channels_last: bool = True
    seed: int = 0
    log_every: int = 20  # steps
    save_every: int = 1000  # steps between saves of last.pt within an epoch; 0: where it is evaluated alone
    eval_every: float = 1.0  # epochs

    def __post_init__(self) -> None:
        one_of("train.schedule", self.schedule, ("step", "cosine", "plateau"))
        one_of("train.batch_norm", self.batch_norm, ("train", "frozen"))
        one_of("train.precision", self.precision, ("fp32", "bf16", "fp16"))
        at_least("train", self, 1, "batch_size", "accumulate", "log_every", "patience")
        at_least("train", self, 0, "stop_epoch", "weight_decay", "warmup_epochs", "clip_norm", "seed", "save_every")
        at_least("train", self, 0, "batch_norm_images", "mixup", "threshold", "lr_batch")
        for name in ("epochs", "lr", "eval_every", "warmup_lr"):
            each_above_zero(f"train.{name}", (getattr(self, name),))
        for name, most in (("seed", 2**63 - 1), ("epochs", 10**9), ("eval_every", 10**9)):
            if getattr(self, name) > most:
                raise UsageError(f"train.{name} must be {most} or less, got {getattr(self, name)}")
        share_below_one("train", self, "momentum", "label_smoothing", "ema")
        if self.batch_size % self.accumulate:
            raise UsageError(f"train.batch_size {self.batch_size} does not split into {self.accumulate} equal parts")
        self._check_schedule()

    def at_its_batch(self) -> TrainConfig:
        """The same with the rate that its own ``batch_size`` gets."""
        share = self.batch_size / self.lr_batch if self.lr_batch else 1.0
        return replace(self, lr=self.lr * share, lr_batch=0)

    def _check_schedule(self) -> None:
        if self.warmup_epochs > self.epochs:
            raise UsageError(f"train.warmup_epochs {self.warmup_epochs} reaches past train.epochs {self.epochs}")
        if not 0 <= self.warmup_until_error < 100:
            raise UsageError(f"train.warmup_until_error must be from 0 to below 100 %, got {self.warmup_until_error!r}")
        if self.warmup_epochs and self.warmup_until_error:
            raise UsageError("train.warmup_epochs and train.warmup_until_error are two ways to warm up: set one")
        rising("train.lr_drop_epochs", self.lr_drop_epochs)
        # the default too: a run of 12 epochs that would drop its rate at 30 never does, which nobody wants unsaid
        if self.schedule == "step" and not all(drop < self.epochs for drop in self.lr_drop_epochs):
            raise UsageError(
                f"train.lr_drop_epochs {self.lr_drop_epochs} reach past train.epochs {self.epochs}: "
                "set them, or train.schedule=cosine"
            )
        rising("train.sizes", [start for start, _ in self.sizes])
        if self.sizes and self.sizes[0][0] != 0:
            raise UsageError(f"train.sizes must begin at epoch 0, got {self.sizes[0][0]}")
        each_above_zero("train.sizes", [side for _, side in self.sizes])
        at_most("train.sizes", [side for _, side in self.sizes], MOST_PIXELS)


def check_not_only_for_classes(train: TrainConfig) -> None:
    """Refuse what a model of boxes has no use for."""
    if train.mixup:
        raise UsageError("train.mixup mixes whole images and their classes, not boxes: it is for tools/train_cls.py")
    if train.warmup_until_error:
        raise UsageError("train.warmup_until_error goes by the classifier's error: it is for tools/train_cls.py")
