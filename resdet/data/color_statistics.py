"""The colours of a data set: mean, deviation and principal components over all pixels, and the mean of every pixel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from resdet.errors import InputError
from resdet.structures import ImageBatch

CHANNELS = ("red", "green", "blue")
LEAST_STD = 0.001  # in 0 .. 255; settings are written with so many digits
SHIFT = 128.0  # taken off before anything is squared, so that little is lost when the mean's square is subtracted


@dataclass(frozen=True)
class ColorStatistics:
    """Over all pixels of all images; all tensors float64."""

    images: int
    mean: Tensor  # (3,) red, green and blue in 0 .. 255
    std: Tensor  # (3,) in 0 .. 255, around that mean
    values: Tensor  # (3,) eigenvalues of the covariance of RGB in 0 .. 1, the largest first
    vectors: Tensor  # (3, 3): row i is the eigenvector of values[i], of length 1, its green part above 0
    pixel_mean: Tensor  # (3, H, W) in 0 .. 255


def color_statistics(batches: Iterable[ImageBatch]) -> ColorStatistics:
    """The statistics of images of one size, a batch in memory at a time.

    The deviations are those of pixels around one mean, which for photographs are larger than the often seen
    (58.4, 57.1, 57.4): those are the mean of each image's own.

    Raises:
        InputError: there are no images, or they are all of one red, green or blue: training divides by deviations.
    """
    images = 0
    total, products = torch.zeros(1, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)
    for batch in batches:
        pixels = batch.images.double() - SHIFT  # (B, 3, H, W)
        images += len(pixels)
        total = total + pixels.sum(0)
        flat = pixels.transpose(0, 1).flatten(1)  # (3, B * H * W)
        products += flat @ flat.T
    if not images:
        raise InputError("no images to take the colours of")
    pixel_mean = total / images
    mean = pixel_mean.mean((1, 2))
    covariance = products / (images * pixel_mean[0].numel()) - mean.outer(mean)
    values, vectors = torch.linalg.eigh(covariance / 255**2)  # the smallest first, vectors in columns
    rows = vectors.T.flip(0)
    rows = rows * torch.where(rows[:, 1:2] < 0, -1.0, 1.0)  # either sign is an eigenvector: one, so that files compare
    std = covariance.diagonal().clamp(min=0).sqrt()
    for name, level, deviation in zip(CHANNELS, (mean + SHIFT).tolist(), std.tolist(), strict=True):
        if deviation < LEAST_STD:
            raise InputError(f"all pixels of {images} images have {level:.4g} for {name}: no deviation to divide by")
    return ColorStatistics(images, mean + SHIFT, std, values.flip(0).clamp(min=0), rows, pixel_mean + SHIFT)
