"""The random colours of a training image: albumentations' jitter, and AlexNet's along the principal components."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from resdet.config import AugmentConfig, DetAugmentConfig


def color_jitter(how: AugmentConfig | DetAugmentConfig) -> Callable[[np.ndarray, int], np.ndarray] | None:
    """A function of ``(H, W, 3)`` uint8 pixels and a seed that changes their colours; None when all is 0."""
    strengths = (how.brightness, how.contrast, how.saturation, how.hue)
    if how.color_probability <= 0 or not any(strengths):
        return None
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for its newest version
    import albumentations  # 2.0.8: here, so that only who asks for it waits for it

    def around_one(strength: float) -> tuple[float, float]:
        return max(0.0, 1 - strength), 1 + strength

    # alone, not within a Compose, which would seed everything twice: 85 us an image in place of 160
    jitter: Any = albumentations.ColorJitter(
        brightness=around_one(how.brightness),
        contrast=around_one(how.contrast),
        saturation=around_one(how.saturation),
        hue=(-how.hue, how.hue),
        p=how.color_probability,
    )

    def apply(image: np.ndarray, seed: int) -> np.ndarray:
        jitter.set_random_seed(seed)  # the same image and seed give the same colours in any worker
        return jitter(image=image)["image"]

    return apply


def lighting(rng: np.random.Generator, how: AugmentConfig) -> np.ndarray:
    """What AlexNet's colour augmentation adds to every pixel of an image (Sec. 4.1 there; "standard" in Sec. 3.4).

    The sum over the principal components of the training set's colours of direction x eigenvalue x a number drawn from
    N(0, ``how.pca_lighting``): as the light's strength and colour would change.

    Returns:
        ``(3,)`` float64, red, green and blue, in levels of 0 .. 255.
    """
    amount = rng.normal(0.0, how.pca_lighting, 3) * np.array(how.pca_values)
    return 255.0 * amount @ np.array(how.pca_vectors)


def lit(image: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """``(H, W, 3)`` uint8 with the ``(3,)`` shift added to every pixel, rounded, and cut at 0 and 255."""
    table = np.rint(np.arange(256)[:, None] + shift).clip(0, 255).astype(np.uint8)  # (256, 3)
    return cv2.LUT(image, table[None])
