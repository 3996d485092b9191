"""A view: which part of an image a network sees, how large, and whether mirrored.

Training crops, the centre crop of a 1-crop test and the whole image at a scale are all views, so that one
function cuts pixels and one pair of functions carries boxes there and back.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from resdet.structures import View

LONGEST = 4  # times the shorter side


def cut(image: np.ndarray, view: View, fill: Sequence[float] = (255, 255, 255)) -> np.ndarray:
    """The view's pixels: ``(H, W, 3)`` uint8 -> ``(view.height, view.width, 3)`` uint8, contiguous.

    Args:
        fill: RGB in 0 .. 255, rounded: what lies around the image, where the window reaches outside it.
    """
    x1, y1, x2, y2 = view.window
    height, width = image.shape[:2]
    outside = min(x1, y1) < 0 or x2 > width or y2 > height
    part = _framed(image, view.window, fill) if outside else image[y1:y2, x1:x2]
    if part.shape[:2] != (view.height, view.width):
        part = _resized(part, view.width, view.height)
    return cv2.flip(part, 1) if view.mirror else np.ascontiguousarray(part)


def _resized(part: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bilinear, over a wider neighbourhood where it shrinks, or fine texture would alias.

    Shrinking is PIL's and torchvision's to within rounding, by torch's kernel for uint8: 318x318 to 224x224 in 0.13 ms,
    where OpenCV's area averaging takes 0.48 and PIL 0.66.
    """
    if width >= part.shape[1] and height >= part.shape[0]:
        return cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
    # (1, 3, h, w), channels last in memory; [None] behind the permute would hide that, and cost twice 0.1 ms
    pixels = torch.from_numpy(part).unsqueeze(0).permute(0, 3, 1, 2)
    small = functional.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    return small[0].permute(1, 2, 0).numpy()


def _framed(image: np.ndarray, window: tuple[int, int, int, int], fill: Sequence[float]) -> np.ndarray:
    """The window of an image that goes on in one colour on all sides."""
    x1, y1, x2, y2 = window
    inside = image[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
    part = np.empty((y2 - y1, x2 - x1, 3), np.uint8)
    part[:] = np.rint(np.asarray(fill)).astype(np.uint8)
    top, left = max(-y1, 0), max(-x1, 0)
    part[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return part


def to_view(boxes: Tensor, view: View) -> Tensor:
    """``(N, 4)`` boxes of the image in the view's pixels, not clipped; ``from_view`` takes them back.

    The boxes are on the CPU: this runs once an image, where numpy takes a quarter of torch's time for one box.
    """
    return torch.from_numpy(moved(boxes.numpy(), view))


def moved(boxes: np.ndarray, view: View) -> np.ndarray:
    """:func:`to_view` of an ``(N, 4)`` float32 array."""
    scale = np.array(view.scale * 2, dtype=np.float32)
    boxes = (boxes - np.array(view.window[:2] * 2, dtype=np.float32)) * scale
    if view.mirror:
        boxes[:, [0, 2]] = view.width - boxes[:, [2, 0]]
    return boxes


def from_view(boxes: Tensor, view: View) -> Tensor:
    """``(..., 4)`` boxes of the view in the image's pixels: ``from_view(to_view(b, v), v) == b``."""
    if view.mirror:
        x1, y1, x2, y2 = boxes.unbind(-1)
        boxes = torch.stack((view.width - x2, y1, view.width - x1, y2), -1)
    return boxes / boxes.new_tensor(view.scale * 2) + boxes.new_tensor(view.window[:2] * 2)


def whole(width: int, height: int, shorter_side: int, mirror: bool = False, longer_side: int | None = None) -> View:
    """All of the image, its shorter side at ``shorter_side`` pixels.

    The longer side is at most ``longer_side``, then the shorter one is less than it was to be; without it at most
    :data:`LONGEST` times ``shorter_side``, or one thin strip would fill the memory.
    """
    longest = longer_side or LONGEST * shorter_side
    scale = min(shorter_side / min(width, height), longest / max(width, height))
    drawn_width, drawn_height = (max(1, round(side * scale)) for side in (width, height))
    return View((0, 0, width, height), drawn_width, drawn_height, mirror)


def centre(width: int, height: int, resize: int, size: int) -> View:
    """The middle ``size x size`` of the image with its shorter side at ``resize`` (1-crop testing)."""
    side = max(1, round(min(width, height) * min(size / resize, 1.0)))
    x1, y1 = (width - side) // 2, (height - side) // 2
    return View((x1, y1, x1 + side, y1 + side), size, size)


def ten_crops(width: int, height: int, resize: int, size: int) -> list[View]:
    """Of the image with its shorter side at ``resize``: four corners and the centre, each ``size`` wide, and mirrored.

    As AlexNet was tested, and the nets of Tables 2 and 3.
    """
    middle = centre(width, height, resize, size)
    side = middle.window[2] - middle.window[0]
    right, bottom = width - side, height - side
    corners = [(x1, y1, x1 + side, y1 + side) for y1 in (0, bottom) for x1 in (0, right)]
    return [View(window, size, size, mirror) for mirror in (False, True) for window in (*corners, middle.window)]
