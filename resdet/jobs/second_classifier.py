"""The classes of an image from networks of their own: the paper's boxes and classes came from two (App. C)."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resdet.data.loading import ViewedImage, ViewedImages
from resdet.data.records import Classes
from resdet.data.relabel import label_map
from resdet.engine.distributed import Process
from resdet.engine.train import autocast
from resdet.inference.loc import LocProtocol, most_probable
from resdet.jobs.sharing import Rows, rows_of_all
from resdet.jobs.trained import RunOptions, open_classifier
from resdet.models.classifier import Classifier
from resdet.models.pcr import AnyLocalizer
from resdet.predictions.loc import MAX_GUESSES
from resdet.structures import View


@dataclass(frozen=True)
class CropClassifier:
    """One network of those whose probabilities are averaged."""

    model: Classifier | AnyLocalizer
    crop: LocProtocol  # its own centre crop
    label: Tensor  # (K,) int64: what it calls each label that is answered
    precision: str = "fp32"  # its own, whatever the others' is


@dataclass(frozen=True)
class CropClassifiers:
    """All of them, each with a view of its own."""

    each: tuple[CropClassifier, ...]

    def views(self, width: int, height: int) -> list[View]:
        """What they want to see of an image, one after another."""
        return [view for one in self.each for view in one.crop.views(width, height)]


def second_guesses(
    weights: Sequence[Path | str],
    settings: Sequence[str],
    args: argparse.Namespace,
    classes: Classes,
    whose: object,
    images: ViewedImages,
    me: Process,
) -> tuple[Tensor, Tensor]:
    """The classes that other checkpoints give each image on their own centre crops, their probabilities averaged.

    Args:
        weights: classifiers, or localizers, whose own classifiers are taken.
        settings: ``section.key=value`` words on top of what each was trained with.
        args: what :func:`resdet.jobs.trained.add_options` asks for; its ``--set`` is not looked at.
        classes: whose labels are answered.
        whose: what they are the classes of, for the message.
        images: what is classified; how it is cut does not matter.
        me: among the processes that the images are dealt out to; :meth:`Process.alone` where all are this one's.

    Returns:
        As :func:`guess`.

    Raises:
        InputError: the classes are others, or what is wrong with a file.
        UsageError: what :func:`resdet.jobs.trained.open_classifier` refuses.
    """
    opened = [_open(file, settings, args, classes, whose) for file in weights]
    together, how = CropClassifiers(tuple(one for one, _ in opened)), opened[0][1]
    viewed = replace(images, views=together.views)

    def guesses(batches: Iterable[Sequence[ViewedImage]]) -> Rows:
        return guess(together, batches, how.device)

    labels, scores = rows_of_all(viewed, how.batch_size, how.workers, me, "classify", guesses)
    return labels, scores


def _open(
    weights: Path | str, settings: Sequence[str], args: argparse.Namespace, classes: Classes, whose: object
) -> tuple[CropClassifier, RunOptions]:
    opened = open_classifier(weights, settings, args, "guess")
    data = opened.config.data
    crop = LocProtocol("1-crop", data.size, data.resize, scales=(), mirror=False, vote_iou=None)
    label = label_map(classes, opened.classes, whose, weights)
    return CropClassifier(opened.model, crop, label, opened.how.precision), opened.how


@torch.inference_mode()
def guess(
    together: CropClassifiers, batches: Iterable[Sequence[ViewedImage]], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Classify every image, in order.

    Returns:
        labels ``(N, k)`` int64 and probabilities ``(N, k)``, best first; zeros for an image that could not be read.
    """
    every_label, every_score = [], []
    for one in together.each:
        one.model.eval()
    for batch in batches:
        readable = [i for i, image in enumerate(batch) if image.error is None]
        k = min(MAX_GUESSES, len(together.each[0].label))
        labels, scores = torch.zeros(len(batch), k, dtype=torch.int64), torch.zeros(len(batch), k)
        if readable:
            total = torch.zeros(len(readable), len(together.each[0].label))
            for place, one in enumerate(together.each):
                pixels = np.stack([batch[i].pixels[place] for i in readable])
                with autocast(device, one.precision):
                    found = one.model.logits(torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device)).softmax(1)
                total += found.float().cpu()[:, one.label]
            labels[readable], scores[readable] = most_probable(total / len(together.each))
        every_label.append(labels)
        every_score.append(scores)
    return torch.cat(every_label), torch.cat(every_score)
