"""The data sets of a training run: opened, and refused before the first step where they cannot be learnt from."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from resdet.config import ClsConfig, DataConfig, DetConfig, DetDataConfig, LocConfig, RCNNConfig
from resdet.data.records import Records
from resdet.engine.distributed import Process
from resdet.errors import InputError, UsageError
from resdet.eval.det import check_boxes, default_metric
from resdet.jobs.data_sets import open_data_set


@dataclass(frozen=True)
class TrainingData:
    """The two data sets of a run; they have the same classes."""

    train: Records
    val: Records


def open_data(config: ClsConfig | LocConfig | RCNNConfig, *, with_boxes: bool = False) -> TrainingData:
    """Read both splits, which must agree on the classes.

    Args:
        with_boxes: train on those images only that have a box of their own class.
    """
    # a classifier asks for boxes only where its crops have to hold one
    asks_for_boxes = with_boxes or not isinstance(config, ClsConfig) or config.augment.keep_object
    every, val = _open_splits(config.data, labels_alone=not asks_for_boxes)
    train = every.with_own_boxes()
    if with_boxes and not bool((usable := train.have_objects()).all()):
        train = train.select(usable.nonzero()[:, 0])
    for spec, records, opened, what in (
        (config.data.train, train, every, " with a box of their class" if with_boxes else ""),
        (config.data.val, val, val, ""),
    ):
        if not len(records):
            raise InputError(f"{spec}: no images{what}")
        if nameless := int((records.labels < 0).sum()):
            raise InputError(f"{spec}: {nameless} of {len(records)} images have no class, which training needs")
        _check_labels(spec, opened)
    if isinstance(config, ClsConfig):
        train, val = train if config.augment.keep_object else train.without_boxes(), val.without_boxes()
    return TrainingData(train, val)


def open_detection_data(config: DetConfig) -> TrainingData:
    """Read both splits, which must agree on the classes; images without objects are learnt from too.

    Raises:
        UsageError: a split is not named.
        InputError: other classes; a split without images, or without one box to learn or to count.
    """
    train, val = _open_splits(config.data)
    for spec, records in ((config.data.train, train), (config.data.val, val)):
        if not len(records):
            raise InputError(f"{spec}: no images")
        _check_labels(spec, records)
        if bool(records.box_ignored.all()):  # true of no boxes too
            raise InputError(f"{spec}: not one of {len(records)} images has a box that is not to be ignored")
    check_boxes(val, default_metric(config.data.val))
    return TrainingData(train, val)


def check_enough(spec: str, records: Records, me: Process) -> None:
    """Every process must get an image of a batch."""
    if len(records) < me.processes:
        raise InputError(f"{spec}: {len(records)} images are too few for {me.processes} processes")


def _open_splits(data: DataConfig | DetDataConfig, *, labels_alone: bool = False) -> tuple[Records, Records]:
    """What ``data.train`` and ``data.val`` name; ``labels_alone``: boxes are not asked for.

    Raises:
        UsageError: one is not set.
        InputError: they have other classes.
    """
    for key, spec in (("data.train", data.train), ("data.val", data.val)):
        if not spec:
            raise UsageError(f"{key} is not set: name a data set, as in {key}=ilsvrc-loc:ROOT:train")
    train, val = (open_data_set(spec, labels_alone=labels_alone) for spec in (data.train, data.val))
    _check_same_classes(data, train.classes.ids, val.classes.ids)
    return train, val


def _check_labels(spec: str, records: Records) -> None:
    """Make sure that every label has a class: else training would stop midway, on a GPU without saying where.

    Raises:
        InputError: one has none; its image is named.
    """
    classes = len(records.classes)
    for labels, least in ((records.labels, -1), (records.box_labels, 0)):
        wrong = ((labels < least) | (labels >= classes)).nonzero()[:, 0]
        if not len(wrong):
            continue
        row = int(wrong[0])
        image = row if least else int(torch.searchsorted(records.box_ends, row, right=True))
        raise InputError(f"{spec}: {records.path(image)} has label {int(labels[row])}, there are {classes} classes")


def _check_same_classes(data: DataConfig | DetDataConfig, train: tuple[str, ...], val: tuple[str, ...]) -> None:
    if train == val:
        return
    if len(train) != len(val):
        raise InputError(f"{data.train} has {len(train)} classes, {data.val} has {len(val)}: they must be the same")
    label = next(i for i, (one, other) in enumerate(zip(train, val, strict=True)) if one != other)
    raise InputError(f"class {label} of {data.train} is {train[label]!r}, of {data.val} {val[label]!r}")
