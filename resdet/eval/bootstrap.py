"""How far a mean over images can be trusted: 95 % intervals by resampling the images with replacement."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1000
PERCENTILES = (2.5, 97.5)
_NUMBERS_AT_ONCE = 5_000_000  # 40 MB of counts


def mean_interval(values: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """The percentile bootstrap's 95 % interval of the mean.

    Images of the same values are exchangeable, so how often each *different* row is drawn is counted, which is
    a multinomial: exactly the bootstrap over images, and quick for errors, whose rows of 0 and 1 are few.

    Args:
        values: ``(N,)`` or ``(N, C)``: one number, or ``C``, an image.
        seed: the same seed gives the same interval.

    Returns:
        ``(2,)`` or ``(2, C)``: low and high.  Where all images agree the two are equal.

    Raises:
        ValueError: no images.
    """
    rows = np.asarray(values, dtype=np.float64)
    if not len(rows):
        raise ValueError("a bootstrap interval needs at least one image")
    distinct, counts = np.unique(rows.reshape(len(rows), -1), axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    step = max(1, _NUMBERS_AT_ONCE // len(counts))
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    sums = [rng.multinomial(len(rows), counts / len(rows), size=size) @ distinct for size in sizes]
    means = np.concatenate(sums) / len(rows)  # (resamples, C)
    return np.percentile(means, PERCENTILES, axis=0).reshape(2, *rows.shape[1:])


def paired_interval(a: ArrayLike, b: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """The 95 % interval of ``mean(a) - mean(b)`` where both were measured on the same images, in the same order.

    It is narrower than the two intervals suggest, since what is hard for one is mostly hard for the other.

    Raises:
        ValueError: different shapes, or no images.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"paired values must be of one shape, got {first.shape} and {second.shape}")
    return mean_interval(first - second, resamples, seed)
