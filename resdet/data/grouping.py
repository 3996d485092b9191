"""Which images each step of a detection's training takes: wide ones together and tall ones together.

Images of one batch lie in one padded tensor; a wide beside a tall one would leave two fifths of it empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from torch import Tensor

from resdet.data.image import image_size
from resdet.data.plan import Draw, generator, seed_of
from resdet.data.records import Records


def wide_images(records: Records) -> Tensor:
    """``(N,)`` bool: which images are at least as wide as they are high.

    What the annotations do not say is read from the images' headers.

    Raises:
        InputError: an image whose header has to be read cannot be.
    """
    sizes = records.sizes.numpy().copy()
    for index in np.flatnonzero(~(sizes > 0).all(1)).tolist():
        sizes[index] = image_size(records.file(index))
    return torch.from_numpy(sizes[:, 0] >= sizes[:, 1])


@dataclass(frozen=True)
class GroupedPlan:
    """The images of each training step: ``iter(plan)`` gives the batches from step ``start`` on.

    Each pass over the data is a new permutation.  Its images queue up by group, and a queue that holds a batch is a
    step; what is left in a queue waits for the next pass, so that no image is ever left out.  Every batch is full; in
    a group smaller than that an image comes several times.  What a step sees is a function of seed and step alone.
    """

    groups: Tensor  # (N,) bool or int64: a batch holds images of one group; all equal: any images
    batch_size: int  # over all processes
    steps: int
    seed: int
    sides: tuple[int, int]  # lowest and highest shorter side of the images, pixels; drawn once a step
    start: int = 0
    rank: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        if not len(self.groups):
            raise ValueError("a plan needs one image at least")

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in one pass; a set smaller than a batch makes one step."""
        return max(1, len(self.groups) // self.batch_size)

    def __len__(self) -> int:
        return self.steps - self.start

    def __iter__(self) -> Iterator[list[Draw]]:
        for step, rows in zip(range(self.steps), self._batches(), strict=False):
            if step >= self.start:
                side = self.size_at(step)
                mine = rows[self.rank :: self.processes].tolist()
                yield [Draw(i, seed_of(self.seed, epoch, i), side) for i, epoch in mine]

    def size_at(self, step: int) -> int:
        """The shorter side of a step's images."""
        low, high = self.sides
        return int(np.random.default_rng((self.seed, step)).integers(low, high, endpoint=True))

    def _batches(self) -> Iterator[np.ndarray]:
        """Without end: ``(batch_size, 2)`` rows of an image and the pass it is of."""
        kind = self.groups.numpy()
        waiting = {group: np.empty((0, 2), dtype=np.int64) for group in np.unique(kind).tolist()}
        for epoch in count():
            order = torch.randperm(len(kind), generator=generator(self.seed, epoch)).numpy()
            full = []
            for group, before in waiting.items():
                places = np.flatnonzero(kind[order] == group)
                rows = np.concatenate((before, np.stack((order[places], np.full_like(places, epoch)), 1)))
                batches = len(rows) // self.batch_size
                for end in range(self.batch_size, batches * self.batch_size + 1, self.batch_size):
                    full.append((places[end - len(before) - 1], rows[end - self.batch_size : end]))
                waiting[group] = rows[batches * self.batch_size :]
            yield from (rows for _, rows in sorted(full, key=lambda batch: batch[0]))  # as their last image came
