"""What values a setting may have; every comparison is written so that NaN fails it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from resdet.errors import UsageError

MOST_CHANNELS = 2**16  # of a layer: of more no memory holds the weights, of many more torch cannot count them

MOST_PIXELS = 2**14  # along a side of what a network sees: of more hardly a memory holds a batch, and OpenCV gives up
MOST_BOXES = 10**6  # of an image
MOST_WORKERS = 2**10


def one_of(name: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise UsageError(f"{name} must be one of {', '.join(map(str, known))}, got {value!r}")


def at_least(section: str, config: object, least: int, *names: str) -> None:
    for name in names:
        if not least <= (value := getattr(config, name)) < float("inf"):
            raise UsageError(f"{section}.{name} must be {least} or more, got {value!r}")


def channels(section: str, config: object, *names: str) -> None:
    for name in names:
        if not 1 <= (value := getattr(config, name)) <= MOST_CHANNELS:
            raise UsageError(f"{section}.{name} must be from 1 to {MOST_CHANNELS}, got {value!r}")


def at_most(name: str, values: Sequence[float], most: int) -> None:
    for value in values:
        if not value <= most:
            raise UsageError(f"{name} must be {most} or less, got {value!r}")


def workers(section: str, config: object) -> None:
    at_least(section, config, 0, "workers")
    at_most(f"{section}.workers", (config.workers,), MOST_WORKERS)  # type: ignore[attr-defined]


def share(section: str, config: object, *names: str) -> None:
    for name in names:
        if not 0 <= (value := getattr(config, name)) <= 1:
            raise UsageError(f"{section}.{name} must be from 0 to 1, got {value!r}")


def share_below_one(section: str, config: object, *names: str) -> None:
    for name in names:
        if not 0 <= (value := getattr(config, name)) < 1:
            raise UsageError(f"{section}.{name} must be from 0 to below 1, got {value!r}")


def each_above_zero(name: str, values: Sequence[float]) -> None:
    for value in values:
        if not 0 < value < float("inf"):
            raise UsageError(f"{name} must be above 0, got {value!r}")


def some_above_zero(section: str, config: object, *names: str) -> None:
    for name in names:
        if not (values := getattr(config, name)):
            raise UsageError(f"{section}.{name} must name one at least, got none")
        each_above_zero(f"{section}.{name}", values)


def low_high(name: str, values: Sequence[float]) -> None:
    if len(values) != 2 or not 0 < values[0] <= values[1] < float("inf"):
        raise UsageError(f"{name} must be two values above 0, the lower first, got {values}")


def rising(name: str, values: Sequence[float]) -> None:
    if not all(before < after for before, after in pairwise(values)):
        raise UsageError(f"{name} must rise, got {tuple(values)}")


def mean_and_std(mean: Sequence[float], std: Sequence[float]) -> None:
    for name, values in (("data.mean", mean), ("data.std", std)):
        if len(values) != 3 or not all(map(math.isfinite, values)):
            raise UsageError(f"{name} must be three values, for red, green and blue, got {values}")
    each_above_zero("data.std", std)


def region_overlaps(foreground: float, background: Sequence[float]) -> None:
    if len(background) != 2 or not 0 <= background[0] < background[1] <= 1:
        raise UsageError(f"model.background_iou must be two rising shares, got {background}")
    if background[1] > foreground:
        raise UsageError(f"model.background_iou {background} reaches past model.foreground_iou {foreground}")
