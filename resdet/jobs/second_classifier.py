"""``--classifier``: classes from separate networks, as the paper's classes and boxes were (App. C)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from resdet.build import build_cls_protocol
from resdet.data.records import Classes
from resdet.data.relabel import label_map
from resdet.data.viewed_images import ViewedImage, ViewedImages
from resdet.engine.distributed import Process
from resdet.inference.cls import Voter, Voters, most_probable
from resdet.jobs.all_processes import Rows, rows_of_all
from resdet.jobs.trained import RunOptions, open_classifier
from resdet.options import Running
from resdet.predictions.loc import MAX_GUESSES


def second_guesses(
    weights: Sequence[Path | str],
    settings: Sequence[str],
    running: Running,
    classes: Classes,
    whose: object,
    images: ViewedImages,
    me: Process,
) -> tuple[Tensor, Tensor]:
    """The classes that other checkpoints give each image on their own centre crops, their probabilities averaged.

    Args:
        weights: classifiers, or localizers, whose own classifiers are taken.
        settings: ``section.key=value`` words on top of what each was trained with.
        running: on what device, and how many images at once.
        classes: whose labels are answered.
        whose: what they are the classes of, for the message.
        images: what is classified; how it is cut does not matter.
        me: the images are dealt out to its run's processes; :meth:`Process.alone` classifies all of them here.

    Returns:
        As :func:`guess`.

    Raises:
        InputError: the classes are others, or what is wrong with a file.
        UsageError: what :func:`resdet.jobs.trained.open_classifier` refuses.
    """
    opened = [_open(file, settings, running, classes, whose) for file in weights]
    together, how = Voters(tuple(one for one, _ in opened)), opened[0][1]
    viewed = replace(images, views=together.views)

    def guesses(batches: Iterable[Sequence[ViewedImage]]) -> Rows:
        return guess(together, batches, how.device)

    labels, scores = rows_of_all(viewed, how.batch_size, how.workers, me, "classify", guesses)
    return labels, scores


def _open(
    weights: Path | str, settings: Sequence[str], running: Running, classes: Classes, whose: object
) -> tuple[Voter, RunOptions]:
    opened = open_classifier(weights, settings, running, "guess")
    label = label_map(classes, opened.classes, whose, weights)
    return Voter(opened.model, build_cls_protocol(opened.config, "1-crop"), label, opened.how.precision), opened.how


@torch.inference_mode()
def guess(together: Voters, batches: Iterable[Sequence[ViewedImage]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Classify every image, in order.

    Returns:
        labels ``(N, k)`` int64 and probabilities ``(N, k)``, best first; zeros for an image that could not be read.
    """
    every_label, every_score = [], []
    for batch in batches:
        readable = [i for i, image in enumerate(batch) if image.error is None]
        k = min(MAX_GUESSES, len(together.each[0].label))
        labels, scores = torch.zeros(len(batch), k, dtype=torch.int64), torch.zeros(len(batch), k)
        if readable:
            found = together.probabilities([batch[i] for i in readable], device).float()
            labels[readable], scores[readable] = most_probable(found)
        every_label.append(labels)
        every_score.append(scores)
    return torch.cat(every_label), torch.cat(every_score)
