"""Classifiers' answers for a whole annotated data set, one's or several's averaged (Table 5), and their errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from resdet.build import build_cls_protocol
from resdet.data.records import Records
from resdet.data.relabel import label_map
from resdet.data.viewed_images import ViewedImage, ViewedImages
from resdet.eval.cls import cls_metrics, true_class_ranks
from resdet.inference.cls import most_probable, probabilities
from resdet.jobs.all_processes import Rows, rows_of_all
from resdet.jobs.trained import open_classifier
from resdet.options import Running
from resdet.predictions.loc import LocPredictions
from resdet.predictions.write import write_loc


def evaluate_together(
    weights: Sequence[Path], settings: Sequence[str], running: Running, records: Records, protocol: str = ""
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """The errors of checkpoints that vote on each image, every one by its own protocol and at its own size.

    Args:
        weights: classifiers, or localizers, whose own classifiers are taken; one after another is held in memory.
        settings: ``section.key=value`` words on top of what each was trained with.
        running: on what device, and how many images at once.
        records: every image has a class; their classes' order need not be the weights'.
        protocol: of all of them; empty: each one's own.

    Returns:
        As :func:`resdet.eval.cls.cls_metrics`, with ``networks``, their number; and the ``(N, k)`` labels of the most
        probable classes, best first, k being 5, or K where K is less.

    Raises:
        InputError: other classes than the data set's; a file that cannot be read.
        UsageError: what :func:`resdet.jobs.trained.open_classifier` refuses.
    """
    total: Tensor | None = None
    protocols = []
    for i, file in enumerate(weights, 1):
        title = "classify" if len(weights) == 1 else f"classify {i}/{len(weights)}"
        found, name = _answers(file, settings, running, records, protocol, title)
        total = found if total is None else total.add_(found)
        protocols.append(name)
    if total is None:
        raise ValueError("evaluate_together wants one checkpoint at least, got none")
    ranks = true_class_ranks(total, records.labels).numpy()  # a sum ranks as an average does
    metrics = {**cls_metrics(ranks, " and ".join(dict.fromkeys(protocols))), "networks": len(weights)}
    return metrics, most_probable(total)[0].numpy()


def write_guesses(folder: Path, guesses: NDArray[np.int64], records: Records) -> None:
    """Write guesses in the forms that localizations have, each with the whole image for its box.

    Args:
        guesses: ``(N, k)`` labels of ``records``.
    """
    sizes = records.whole_sizes().numpy()
    whole = np.concatenate((np.zeros_like(sizes), sizes - 1), 1).astype(np.float64)
    write_loc(folder, LocPredictions(guesses, whole[:, None].repeat(guesses.shape[1], 1)), records)


def _answers(
    weights: Path, settings: Sequence[str], running: Running, records: Records, name: str, title: str
) -> tuple[Tensor, str]:
    """``(N, K)`` probabilities in the order of the data set's classes, and the protocol that gave them."""
    opened = open_classifier(weights, settings, running)
    how = opened.how
    label = label_map(records.classes, opened.classes, records.root, weights)
    protocol = build_cls_protocol(opened.config, name)
    images = ViewedImages(records.open, len(records), protocol.views)

    def answers(batches: Iterable[Sequence[ViewedImage]]) -> Rows:
        return (probabilities(opened.model, batches, protocol, how.device, how.precision)[:, label],)

    (found,) = rows_of_all(images, how.batch_size, how.workers, how.me, title, answers)
    return found, protocol.name
