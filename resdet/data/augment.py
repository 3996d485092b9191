"""The random training view of an image, and the target in it; :mod:`resdet.data.colors` has its random colours."""

from __future__ import annotations

import math

import numpy as np
import torch

from resdet.config import AugmentConfig
from resdet.data.jpeg import SHRINKS
from resdet.data.views import centre, moved
from resdet.structures import Target, View


def random_view(rng: np.random.Generator, width: int, height: int, size: int, how: AugmentConfig) -> View:
    """One square view of ``size`` pixels, drawn as ``how.crop`` says."""
    draw = {"area": _area_window, "shorter_side": _shorter_side_window, "pad": _padded_window}[how.crop]
    return View(draw(rng, width, height, size, how), size, size, bool(rng.random() < how.mirror))


def view_with_box(
    rng: np.random.Generator, width: int, height: int, size: int, how: AugmentConfig, target: Target
) -> tuple[View, Target]:
    """A random view that holds at least one box, and the target in it.

    Views are drawn until a box has ``how.min_visible`` of its area inside, at most ``how.crop_tries`` times; then
    the centre is taken, whose target may be empty.  An image without boxes takes the first view, and so does
    every image where ``how.keep_object`` is off.
    """
    boxes = target.boxes.numpy()
    must_hold = how.keep_object and len(boxes) > 0
    for _ in range(how.crop_tries):
        view = random_view(rng, width, height, size, how)
        if not must_hold or _visible(moved(boxes, view), view, how.min_visible)[1].any():
            break
    else:
        view = centre(width, height, size, size)
    return view, visible(target, view, how.min_visible, how.clip_boxes)


def visible(target: Target, view: View, min_visible: float, clip: bool = True) -> Target:
    """The target as the view shows it: boxes with less than ``min_visible`` of their area inside are dropped.

    Args:
        clip: cut the boxes that stay at the view's edge; otherwise they reach outside it.
    """
    boxes = moved(target.boxes.numpy(), view)
    inside, keep = _visible(boxes, view, min_visible)
    kept, shown = torch.from_numpy(keep), torch.from_numpy((inside if clip else boxes)[keep])
    return Target(target.label, shown, target.labels[kept], target.ignored[kept])


def _visible(boxes: np.ndarray, view: View, min_visible: float) -> tuple[np.ndarray, np.ndarray]:
    """The ``(N, 4)`` boxes of a view cut at its edge, and which of the ``(N,)`` are to be kept."""
    inside = np.minimum(np.maximum(boxes, 0), np.array((view.width, view.height) * 2, dtype=np.float32))
    seen = _area(inside)
    return inside, (seen >= min_visible * _area(boxes)) & (seen > 0)


def _area_window(
    rng: np.random.Generator, width: int, height: int, size: int, how: AugmentConfig
) -> tuple[int, int, int, int]:
    """A window of a random area and aspect ratio, both as wide as they were asked for where the image allows."""
    for _ in range(10):
        area = width * height * rng.uniform(*how.area)
        aspect = math.exp(rng.uniform(*map(math.log, how.aspect)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return _placed(rng, width, height, w, h, size)
    side = min(width, height)
    return _placed(rng, width, height, side, side, size)


def _shorter_side_window(
    rng: np.random.Generator, width: int, height: int, size: int, how: AugmentConfig
) -> tuple[int, int, int, int]:
    """A square that would be ``size`` wide were the image's shorter side drawn from ``how.shorter_side``."""
    low, high = (side * size / 224 for side in how.shorter_side)
    side = max(1, round(min(width, height) * min(1.0, size / rng.uniform(low, high))))
    return _placed(rng, width, height, side, side, size)


def _padded_window(
    rng: np.random.Generator, width: int, height: int, size: int, how: AugmentConfig
) -> tuple[int, int, int, int]:
    """The image's middle square, ``size`` wide when drawn, moved by up to ``how.pad`` of the view's pixels each way.

    Of an image of ``size x size`` with ``how.pad`` pixels around it, every crop is as likely (Sec. 4.2).
    """
    side = min(width, height)
    x, y = (round(int(move) * side / size) for move in rng.integers(-how.pad, how.pad + 1, 2))
    x, y = (width - side) // 2 + x, (height - side) // 2 + y
    return x, y, x + side, y + side


def _placed(rng: np.random.Generator, width: int, height: int, w: int, h: int, size: int) -> tuple[int, int, int, int]:
    """A window of ``w x h``, every place as likely.

    One that is drawn two, four or eight times smaller lies on multiples of that, so that a JPEG can be decoded smaller
    without a shift (:func:`resdet.data.stored_image.shrink_of`).
    """
    step = next((shrink for shrink in SHRINKS if shrink * size <= min(w, h)), 1)
    w, h = w - w % step, h - h % step
    x1, y1 = step * int(rng.integers((width - w) // step + 1)), step * int(rng.integers((height - h) // step + 1))
    return x1, y1, x1 + w, y1 + h


def _area(boxes: np.ndarray) -> np.ndarray:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return sides[:, 0] * sides[:, 1]
