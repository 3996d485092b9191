"""The random training view of an image, and the target in it; :mod:`resdet.data.colors` has its random colours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from resdet.config import AugmentConfig
from resdet.data.jpeg import SHRINKS
from resdet.data.views import centre
from resdet.structures import Target, View

TRIES = 10  # areas and aspects drawn until a window fits into the image
NUMBERS = 4 * TRIES + 3  # more than a view takes; a call for each would cost more than drawing all at once


def random_view(rng: np.random.Generator, width: int, height: int, size: int, how: AugmentConfig) -> View:
    """One square view of ``size`` pixels, drawn as ``how.crop`` says."""
    drawn = iter(rng.random(NUMBERS).tolist())
    window = {"area": _area_window, "shorter_side": _shorter_side_window, "pad": _padded_window}[how.crop]
    mirror = next(drawn) < how.mirror
    return View(window(drawn, width, height, size, how), size, size, mirror)


def view_with_box(
    rng: np.random.Generator, width: int, height: int, size: int, how: AugmentConfig, target: Target
) -> tuple[View, Target]:
    """A random view that holds at least one box, and the target in it.

    Views are drawn until a box that is not ignored has ``how.min_visible`` of its area inside, at most
    ``how.crop_tries`` times; then the centre is taken, whose target may be empty.  An image without such boxes takes
    the first view, and so does every image where ``how.keep_object`` is off.
    """
    must_hold = how.keep_object and _has_object(target)
    for _ in range(how.crop_tries):
        view = random_view(rng, width, height, size, how)
        seen = visible(target, view, how.min_visible, how.clip_boxes)
        if not must_hold or _has_object(seen):
            return view, seen
    view = centre(width, height, size, size)
    return view, visible(target, view, how.min_visible, how.clip_boxes)


def _has_object(target: Target) -> bool:
    return not target.ignored.numpy().all()  # (all of no boxes are)


def visible(target: Target, view: View, min_visible: float, clip: bool = True) -> Target:
    """The target as the view shows it: boxes with less than ``min_visible`` of their area inside are dropped.

    Args:
        clip: cut the boxes that stay at the view's edge; otherwise they reach outside it.
    """
    if not len(target.boxes):
        return target
    shown, kept = [], []
    for number, box in enumerate(target.boxes.tolist()):  # most images have one, for which arrays are slow
        box = _moved(box, view)
        x1, y1, x2, y2 = inside = (*(max(0.0, s) for s in box[:2]), min(view.width, box[2]), min(view.height, box[3]))
        seen = max(0.0, x2 - x1) * max(0.0, y2 - y1)
        if seen > 0 and seen >= min_visible * (box[2] - box[0]) * (box[3] - box[1]):
            shown.append(inside if clip else box)
            kept.append(number)
    boxes = torch.tensor(shown, dtype=torch.float32).reshape(-1, 4)
    if len(kept) == len(target.boxes):
        return Target(target.label, boxes, target.labels, target.ignored)
    return Target(target.label, boxes, target.labels[kept], target.ignored[kept])


def _moved(box: Sequence[float], view: View) -> tuple[float, float, float, float]:
    """One box of the image in the view's pixels: :func:`resdet.data.views.moved` of one row."""
    (across, down), (left, top) = view.scale, view.window[:2]
    x1, x2 = (box[0] - left) * across, (box[2] - left) * across
    if view.mirror:
        x1, x2 = view.width - x2, view.width - x1
    return x1, (box[1] - top) * down, x2, (box[3] - top) * down


def _area_window(
    drawn: Iterator[float], width: int, height: int, size: int, how: AugmentConfig
) -> tuple[int, int, int, int]:
    """A window of a random area and aspect ratio, both as wide as they were asked for where the image allows."""
    low, high = (math.log(aspect) for aspect in how.aspect)
    least, most = how.area
    for _ in range(TRIES):
        area = width * height * _between(least, most, next(drawn))
        aspect = math.exp(_between(low, high, next(drawn)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return _placed(drawn, width, height, w, h, size)
    side = min(width, height)
    return _placed(drawn, width, height, side, side, size)


def _shorter_side_window(
    drawn: Iterator[float], width: int, height: int, size: int, how: AugmentConfig
) -> tuple[int, int, int, int]:
    """A square that would be ``size`` wide were the image's shorter side drawn from ``how.shorter_side``."""
    low, high = (side * size / 224 for side in how.shorter_side)
    side = max(1, round(min(width, height) * min(1.0, size / _between(low, high, next(drawn)))))
    return _placed(drawn, width, height, side, side, size)


def _padded_window(
    drawn: Iterator[float], width: int, height: int, size: int, how: AugmentConfig
) -> tuple[int, int, int, int]:
    """The image's middle square, ``size`` wide when drawn, moved by up to ``how.pad`` of the view's pixels each way.

    Of an image of ``size x size`` with ``how.pad`` pixels around it, every crop is as likely (Sec. 4.2).
    """
    side = min(width, height)
    x, y = (round((_whole(2 * how.pad, next(drawn)) - how.pad) * side / size) for _ in range(2))
    x, y = (width - side) // 2 + x, (height - side) // 2 + y
    return x, y, x + side, y + side


def _placed(drawn: Iterator[float], width: int, height: int, w: int, h: int, size: int) -> tuple[int, int, int, int]:
    """A window of ``w x h``, every place as likely.

    One that is drawn two, four or eight times smaller lies on multiples of that, so that a JPEG can be decoded smaller
    without a shift (:func:`resdet.data.stored_image.shrink_of`).
    """
    step = next((shrink for shrink in SHRINKS if shrink * size <= min(w, h)), 1)
    w, h = w - w % step, h - h % step
    x1, y1 = (step * _whole(room // step, next(drawn)) for room in (width - w, height - h))
    return x1, y1, x1 + w, y1 + h


def _between(low: float, high: float, drawn: float) -> float:
    return low + (high - low) * drawn


def _whole(most: int, drawn: float) -> int:
    """One of 0 to ``most``, each as likely, by a number in [0, 1)."""
    return int(drawn * (most + 1))
