"""The layer responses of a run's last net, on images of its own validation set (Fig. 7)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from resdet.config import ClsConfig
from resdet.data.loading import TestImages, test_loader
from resdet.errors import InputError, UsageError
from resdet.inference.responses import layer_responses
from resdet.jobs.data_sets import open_data_set
from resdet.jobs.trained import open_trained
from resdet.options import Running
from resdet.progress import follow


def responses_of(run: Path, spec: str, images: int, settings: Sequence[str], running: Running) -> dict[str, float]:
    """Standard deviation of each 3x3 layer's response, by its name, of ``last.pt`` in the folder ``run``.

    Args:
        spec: the data set; empty: the run's own ``data.val``.
        images: how many of it, evenly spread over the set; all where it has fewer.
        settings: ``section.key=value`` words on top of what the run was trained with.
        running: on what device, and how many images at once.

    Raises:
        InputError: no such checkpoint or data set, or an empty one.
        UsageError: not a classifier's.
    """
    weights = run / "last.pt"
    loaded, how = open_trained(weights, settings, running, "respond")
    if not isinstance(loaded.config, ClsConfig):
        raise UsageError(f"{weights}: layer responses are of classifiers, this is another model")
    data = loaded.config.data
    records = open_data_set(spec or data.val)
    if not len(records):
        raise InputError(f"{spec or data.val}: no images")
    chosen = torch.linspace(0, len(records) - 1, min(images, len(records))).round().long()
    views = TestImages(records.select(chosen), data.resize, data.size)
    batches = test_loader(views, how.batch_size, how.workers)
    shown = follow(batches, len(batches), run.name)
    return layer_responses(loaded.model, shown, how.device, how.precision)  # type: ignore[arg-type]  # a Classifier's
