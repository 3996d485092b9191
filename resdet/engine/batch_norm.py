"""Batch norm's statistics after training: one plain average over many images in place of the moving one (App. A)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from resdet.errors import InputError
from resdet.precision import autocast
from resdet.structures import ImageBatch


@torch.no_grad()
def recompute(model: nn.Module, batches: Iterable[ImageBatch], device: torch.device, precision: str = "fp32") -> int:
    """Replace the running mean and variance of every batch norm by those of its inputs over all ``batches``.

    One pass, as for the paper's released nets: every layer normalises a batch by that batch's own statistics, as
    in training, and so the inputs of the next layer are training's.  Of what reaches a layer, all images and
    positions count alike: the mean is the mean of them all, and the variance is around it, divided by their number
    (pooled; not the average of the batches' variances, which leaves out how the batches differ).  A network in
    evaluation mode then gives a single batch what it gave it in training mode.

    The order of the batches does not matter, nor do their sizes to the first layer.  Which images share a batch
    does to the layers after it, less the larger the batches are: take training's.

    Args:
        model: ``model(batch)`` gives losses, as in training.  It is left in evaluation mode; nothing but the
            statistics is changed, and a layer that nothing reaches keeps them.
        batches: of any number of images, each with more than one value a channel in every layer.

    Returns:
        How many images there were.

    Raises:
        InputError: there are none.
        FloatingPointError: a statistic is not finite; all are then as they were.
    """
    pools = {
        layer: _Pool() for layer in model.modules() if isinstance(layer, nn.BatchNorm2d) and layer.track_running_stats
    }
    images = 0
    with _pooling(model, pools):
        for batch in batches:
            with autocast(device, precision):
                model(batch.to(device))
            images += len(batch)
    if not images:
        raise InputError("no images to take batch norm's statistics from")
    _store({layer: pool for layer, pool in pools.items() if pool.count})
    return images


class _Pool:
    """The mean and the squared deviations from it of every channel, over all that was added, in float64."""

    def __init__(self) -> None:
        self.count = 0  # values a channel
        self.mean = self.squares = torch.zeros(())

    def add(self, inputs: Tensor) -> None:
        """Take in ``(B, C, H, W)``.

        Deviations are joined (Chan et al. 1979), not sums of squares subtracted, which would lose a small variance
        beside a large mean.
        """
        count = inputs.numel() // inputs.shape[1]
        variance, mean = torch.var_mean(inputs.double(), dim=(0, 2, 3), correction=0)
        self.count += count
        share = count / self.count
        apart = mean - self.mean
        self.squares = self.squares + variance * count + apart.square() * (count * (1 - share))
        self.mean = self.mean + apart * share


@contextmanager
def _pooling(model: nn.Module, pools: dict[nn.BatchNorm2d, _Pool]) -> Iterator[None]:
    """Within it each layer normalises by the batch, as in training, and its inputs go into its pool; after it the model
    is in evaluation mode."""
    handles = [layer.register_forward_pre_hook(_adder(pool)) for layer, pool in pools.items()]
    model.eval()
    try:
        for layer in pools:
            layer.train()
            layer.track_running_stats = False  # it leaves its buffers alone
        yield
    finally:
        for layer, handle in zip(pools, handles, strict=True):
            handle.remove()
            layer.track_running_stats = True
        model.eval()


def _adder(pool: _Pool) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def add(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        pool.add(inputs[0])

    return add


def _store(pools: dict[nn.BatchNorm2d, _Pool]) -> None:
    stored = []
    for layer, pool in pools.items():
        assert layer.running_mean is not None and layer.running_var is not None  # both are there where it tracks
        for buffer, value in ((layer.running_mean, pool.mean), (layer.running_var, pool.squares / pool.count)):
            stored.append((buffer, value.to(buffer.dtype)))  # a float64 may be finite where no float32 is
            if not stored[-1][1].isfinite().all():
                raise FloatingPointError("batch norm's recomputed statistics are not finite: the weights have diverged")
    for buffer, value in stored:
        buffer.copy_(value)
