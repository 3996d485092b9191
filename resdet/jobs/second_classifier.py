"""The classes of an image from a network of its own: the paper's boxes and classes came from two (App. C)."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resdet.data.loading import ViewedImage, ViewedImages, view_loader
from resdet.data.records import Classes
from resdet.data.relabel import label_map
from resdet.engine.train import autocast
from resdet.inference.loc import GUESSES, LocProtocol
from resdet.jobs.trained import open_classifier
from resdet.models.classifier import Classifier
from resdet.models.pcr import AnyLocalizer
from resdet.progress import follow


def second_guesses(
    weights: Path, args: argparse.Namespace, classes: Classes, images: ViewedImages
) -> tuple[Tensor, Tensor]:
    """The classes that another checkpoint gives each image on its own centre crop.

    Args:
        weights: a classifier, or a localizer, whose own classifier is taken.
        args: what :func:`resdet.jobs.trained.add_options` asks for; its ``--set`` is not for this network.
        classes: whose labels are answered.
        images: what is classified; how it is cut does not matter.

    Returns:
        As :func:`guess`.

    Raises:
        InputError: the classes are others, or what is wrong with the file.
        UsageError: what :func:`resdet.jobs.trained.open_classifier` refuses.
    """
    opened = open_classifier(weights, (), args)
    how, data = opened.how, opened.config.data
    new_label = label_map(opened.classes, classes, weights, args.weights)
    crop = LocProtocol("1-crop", data.size, data.resize, scales=(), mirror=False, vote_iou=None)
    batches = view_loader(replace(images, views=crop.views), how.batch_size, how.workers)
    labels, scores = guess(opened.model, follow(batches, len(batches), "classify"), how.device, how.precision)
    return new_label[labels], scores


@torch.inference_mode()
def guess(
    model: Classifier | AnyLocalizer,
    batches: Iterable[Sequence[ViewedImage]],
    device: torch.device,
    precision: str = "fp32",
) -> tuple[Tensor, Tensor]:
    """Classify every image, in order, each by its one view, all views of one size.

    Returns:
        labels ``(N, k)`` int64 and probabilities ``(N, k)``, best first; zeros for an image that could not be read.
    """
    model.eval()
    every_label, every_score = [], []
    for batch in batches:
        readable = [i for i, image in enumerate(batch) if image.error is None]
        k = min(GUESSES, model.backbone.fc.out_features)
        labels, scores = torch.zeros(len(batch), k, dtype=torch.int64), torch.zeros(len(batch), k)
        if readable:
            pixels = torch.from_numpy(np.stack([batch[i].pixels[0] for i in readable])).permute(0, 3, 1, 2)
            with autocast(device, precision):
                top = model.logits(pixels.to(device)).softmax(1).topk(k)
            labels[readable], scores[readable] = top.indices.cpu(), top.values.cpu()
        every_label.append(labels)
        every_score.append(scores)
    return torch.cat(every_label), torch.cat(every_score)
