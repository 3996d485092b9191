"""Which images each training step takes, and the seeds of what is drawn at random of each.

What a step sees is a function of the seed and the step's number alone, never of the number of workers or of what ran
before: a resumed run continues with the very images it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch


class Draw(NamedTuple):
    """One image of a training step."""

    index: int  # type: ignore[assignment]  # in the records; hides tuple.index
    seed: int  # of everything random about it
    size: int  # side of the crop, pixels


@dataclass(frozen=True)
class Plan:
    """Which images each training step takes: ``iter(plan)`` gives the batches from step ``start`` on.

    Every epoch is a new permutation; the last images that do not fill a batch wait for another epoch.
    """

    images: int
    batch_size: int  # over all processes
    steps: int
    seed: int
    sizes: tuple[tuple[float, int], ...]  # (from epoch, side)
    start: int = 0
    rank: int = 0
    processes: int = 1

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in one pass; a set smaller than a batch makes one step."""
        return max(1, self.images // self.batch_size)

    def __len__(self) -> int:
        return self.steps - self.start

    def __iter__(self) -> Iterator[list[Draw]]:
        order, order_epoch = torch.empty(0), -1
        for step in range(self.start, self.steps):
            epoch, place = divmod(step, self.steps_per_epoch)
            if epoch != order_epoch:
                order, order_epoch = torch.randperm(self.images, generator=generator(self.seed, epoch)), epoch
            rows = order[place * self.batch_size :][: self.batch_size][self.rank :: self.processes]
            side = self.size_at(step)
            yield [Draw(i, seed_of(self.seed, epoch, i), side) for i in rows.tolist()]

    def size_at(self, step: int) -> int:
        """The side of the crop at a step."""
        epoch = step / self.steps_per_epoch
        return next(side for start, side in reversed(self.sizes) if epoch >= start)


def generator(seed: int, epoch: int) -> torch.Generator:
    """What draws an epoch's order."""
    return torch.Generator().manual_seed(seed_of(seed, epoch))


def seed_of(*numbers: int) -> int:
    """A seed of 31 bits from several numbers, the same in every process: hashes of integers are not randomised."""
    return hash(numbers) & 0x7FFFFFFF
