"""A data set dealt out to the processes of a run, a batch to each in turn; afterwards every process has all answers.

The batches are the same as with one process, and so are the answers, to the bit.  A process that gets no batch has
all answers too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from resdet.data.loading import Batches, in_order
from resdet.data.viewed_images import ViewedImage, ViewedImages, view_loader
from resdet.engine import distributed
from resdet.engine.distributed import Process
from resdet.progress import follow

Rows = tuple[Tensor, ...]  # one row an image in each


def share_of(images: ViewedImages, batch_size: int, workers: int, me: Process) -> Batches:
    """The batches that fall to this process."""
    return view_loader(images, batch_size, workers, me.rank, me.processes)


def shown(batches: Batches, title: str, me: Process) -> Iterable[Any]:
    """The batches, with progress on stderr: the first process shows its own, and the others are about as far."""
    return follow(batches, len(batches), title) if me.is_main else batches


def rows_of_all(
    images: ViewedImages,
    batch_size: int,
    workers: int,
    me: Process,
    title: str,
    work: Callable[[Iterable[Sequence[ViewedImage]]], Rows],
) -> Rows:
    """What ``work`` makes of all images, in their order.

    Args:
        title: beside the progress.
        work: from batches to tensors with a row an image, in the order of the batches; called with one batch at least
            where there is one.

    Raises:
        InputError: as the loader of ``images``.
    """
    batches = share_of(images, batch_size, workers, me)
    if me.processes == 1:
        return work(shown(batches, title, me))
    mine = work(shown(batches, title, me)) if len(batches) else None
    parts = [part for part in distributed.gather(mine, me) if part is not None]
    each = in_order(len(images), batch_size)
    dealt = torch.tensor([i for rank in range(me.processes) for batch in each[rank :: me.processes] for i in batch])
    return tuple(torch.cat(column)[dealt.argsort()] for column in zip(*parts, strict=True))
