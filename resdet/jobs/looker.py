"""Trained networks of any task look at image files and videos: one result an image or a frame, bad ones too."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from resdet import options
from resdet.build import Loaded, build_cls_protocol
from resdet.data.image_files import ImageFile
from resdet.data.records import Classes
from resdet.data.relabel import label_map
from resdet.data.video import frame_count, is_video, viewed_frames
from resdet.data.viewed_images import ViewedImage, ViewedImages, view_loader
from resdet.errors import UsageError
from resdet.inference.cls import Voter, Voters
from resdet.inference.det import Detected, detect
from resdet.inference.locate import locate_together
from resdet.jobs.detection import together
from resdet.jobs.localization import LocWeights, open_locators
from resdet.jobs.roles import by_role, check_roles
from resdet.jobs.second_classifier import second_guesses
from resdet.jobs.trained import (
    OpenedClassifier,
    RunOptions,
    as_classifier,
    as_detector,
    open_classifier,
    open_detector,
    open_trained,
)
from resdet.predictions.jsonl import ImageResult, failed, not_finite
from resdet.predictions.loc import MAX_GUESSES
from resdet.progress import follow
from resdet.structures import Detections, View

Batches = Iterable[Sequence[ViewedImage]]


class Found(NamedTuple):
    """What came of an image, or of one frame of a video."""

    file: int  # its place among the files
    frame: int | None  # of a video, from 0; None: it is an image, or what is wrong with a whole video
    result: ImageResult


@dataclass(frozen=True)
class Looker:
    """Trained networks and how they look at an image."""

    task: str  # "cls", "loc" or "det"
    classes: Classes
    how: RunOptions
    views: Callable[[int, int], list[View]]  # of an image of a width and a height
    answer: Callable[[Batches], Iterator[Detected]]  # best first


def open_looker(args: argparse.Namespace, files: Sequence[ImageFile]) -> Looker:
    """The classifiers, localizers or detectors of a command line; the first weights' kind decides which.

    Args:
        args: ``weights``, ``rcnn`` and ``classifier``, lists, ``top_k``, ``score_threshold``, and what
            :func:`resdet.options.add_options` asks for.
        files: what will be looked at; the networks of ``--classifier`` go through them now.

    Raises:
        UsageError: options that are for another kind, or weights that are of another.
        InputError: what is wrong with a file of weights.
    """
    words = by_role(args.settings)
    check_roles(words, args.rcnn, args.classifier)
    first, how = open_trained(args.weights[0], words.localizers, options.running(args))
    if first.task == "det":
        return _detectors(first, how, args)
    if first.task == "cls":
        return _classifiers(first, how, args)
    return _localizers(first, how, args, files)


def look(
    looker: Looker, files: Sequence[ImageFile], places: Sequence[int], frames_done: Callable[[int], int], *, shows: bool
) -> Iterator[Found]:
    """What is in files, in order, a batch at a time in memory; what cannot be read has an ``error``.

    A frame is called ``clip.mp4#000012`` after its video and its number, from 0.

    Args:
        places: which of the files are looked at.
        frames_done: how many frames of a file have an answer already.  The last of them is answered again, so that
            every video that is looked at has at least one answer.
        shows: whether progress is shown.
    """
    what = {"cls": "classify", "loc": "localize", "det": "detect"}[looker.task] if shows else ""
    # each video by itself, images between videos together
    for video, run in groupby(places, lambda i: i if is_video(files[i].file) else None):
        if video is None:
            yield from _look_at_images(looker, files, list(run), what)
        else:
            yield from _look_at_video(looker, files[video].file, video, frames_done(video), what)


def viewed(files: Sequence[ImageFile], views: Callable[[int, int], list[View]]) -> ViewedImages:
    """The files for a loader; one that cannot be read comes with its ``error`` set, not as an exception."""
    return ViewedImages([f.file for f in files].__getitem__, len(files), views, skip_bad=True)


def _look_at_images(looker: Looker, files: Sequence[ImageFile], places: Sequence[int], what: str) -> Iterator[Found]:
    images = viewed([files[place] for place in places], looker.views)
    batches = view_loader(images, looker.how.batch_size, looker.how.workers)
    for answer in looker.answer(follow(batches, len(batches), what) if what else batches):
        place = places[answer.index]
        yield Found(place, None, _result(answer, str(files[place].file)))


def _look_at_video(looker: Looker, file: Path, place: int, done: int, what: str) -> Iterator[Found]:
    start, size = max(0, done - 1), looker.how.batch_size
    batches: Batches = viewed_frames(file, looker.views, size, start)
    if what:
        batches = follow(batches, -(-max(0, frame_count(file) - start) // size), f"{what} {file.name}")
    for answer in looker.answer(batches):
        frame = answer.index if answer.error is None else None
        name = str(file) if frame is None else f"{file}#{frame:06d}"
        yield Found(place, frame, _result(answer, name))


def _result(answer: Detected, name: str) -> ImageResult:
    if answer.error is not None:
        return failed(name, answer.error)
    if not answer.finite:
        raise not_finite(name)
    return ImageResult(name, answer.width, answer.height, answer.detections)


def _detectors(first: Loaded, how: RunOptions, args: argparse.Namespace) -> Looker:
    if args.classifier:
        raise UsageError("--classifier is for localizers: a detector says itself what each of its boxes is")
    if args.rcnn:
        raise UsageError("--rcnn is for localizers: a detector judges each of its boxes itself")
    name, *others = args.weights
    running = options.running(args)
    opened = [as_detector(first, how, name), *(open_detector(other, args.settings, running) for other in others)]
    detectors = together(opened, args.weights, first.classes, name)
    protocol = detectors.protocol
    if args.score_threshold is not None:
        protocol = replace(protocol, score_threshold=args.score_threshold)
    if args.top_k is not None:
        protocol = replace(protocol, max_detections=args.top_k)

    def answer(batches: Batches) -> Iterator[Detected]:
        return detect(detectors.models, batches, protocol, how.device, detectors.precisions, labels=detectors.labels)

    return Looker("det", first.classes, how, protocol.views, answer)


def _localizers(first: Loaded, how: RunOptions, args: argparse.Namespace, files: Sequence[ImageFile]) -> Looker:
    top_k = MAX_GUESSES if args.top_k is None else args.top_k
    if top_k > MAX_GUESSES:
        raise UsageError(f"--top-k: wanted a whole number from 1 to {MAX_GUESSES} of a localizer, got {top_k}")
    if args.classifier and any(is_video(file.file) for file in files):
        raise UsageError("--classifier: goes through images, not through videos; give those in a run of their own")
    running = options.running(args)
    opened = open_locators(LocWeights(args.weights, args.rcnn, args.classifier), args.settings, running, (first, how))
    locators, classes = opened.locators, opened.classes
    guesses = None
    if args.classifier and files:
        images = viewed(files, locators.views)
        words = by_role(args.settings).classifiers
        guesses = second_guesses(args.classifier, words, running, classes, args.weights[0], images, how.me.alone())

    def answer(batches: Batches) -> Iterator[Detected]:
        for found in locate_together(locators, batches, how.device, guesses=guesses):
            every = Detections(found.boxes.float(), found.class_scores.float(), found.labels)
            best = _best(every, top_k, args.score_threshold or 0.0)
            yield Detected(found.index, found.width, found.height, best, found.error)

    return Looker("loc", classes, how, locators.views, answer)


def _classifiers(first: Loaded, how: RunOptions, args: argparse.Namespace) -> Looker:
    """Classifiers: the box of each class is the whole image, as in the guesses that ``eval_cls.py --out`` writes."""
    for option in ("classifier", "rcnn"):
        if getattr(args, option):
            raise UsageError(f"--{option} is for localizers: {args.weights[0]} is a classifier")
    name, *others = args.weights
    running = options.running(args)
    opened = [as_classifier(first, how, name), *(open_classifier(other, args.settings, running) for other in others)]
    voters = Voters(
        tuple(_voter(one, file, first.classes, name) for one, file in zip(opened, args.weights, strict=True))
    )
    top_k = MAX_GUESSES if args.top_k is None else args.top_k

    def answer(batches: Batches) -> Iterator[Detected]:
        for batch in batches:
            readable = [image for image in batch if image.error is None]
            rows = iter(voters.probabilities(readable, how.device).float() if readable else ())
            for image in batch:
                every = _of_whole_image(image, next(rows) if image.error is None else torch.zeros(0))
                best = _best(every, top_k, args.score_threshold or 0.0)
                yield Detected(image.index, image.width, image.height, best, image.error)

    return Looker("cls", first.classes, how, voters.views, answer)


def _voter(opened: OpenedClassifier, file: str, classes: Classes, whose: str) -> Voter:
    """It answers in the labels of ``classes``, those of the weights ``whose``."""
    label = label_map(classes, opened.classes, whose, file)
    return Voter(opened.model, build_cls_protocol(opened.config), label, opened.how.precision)


def _of_whole_image(image: ViewedImage, scores: Tensor) -> Detections:
    """The whole image as the box of every class, from ``(K,)`` scores."""
    box = torch.tensor([[0.0, 0.0, image.width, image.height]])
    return Detections(box.expand(len(scores), 4), scores, torch.arange(len(scores)))


def _best(every: Detections, most: int, score_threshold: float) -> Detections:
    """The most probable classes; there is one box for each, whose score is the class's probability."""
    best = every[every.scores.argsort(descending=True, stable=True)[:most]]
    return best[~(best.scores < score_threshold)]  # NaN stays, to be reported as a network that diverged
