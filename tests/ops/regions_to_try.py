"""Maps and regions that the tests of RoI pool and RoI align share."""

import pytest
import torch

STRIDE = 16
IMAGES, HEIGHT, WIDTH = 2, 6, 9  # the map covers 144 x 96 pixels

_ROWS = {
    "inside": [(0, 20, 10, 90, 80), (0, 3, 5, 30, 90)],
    "two images": [(1, 16, 16, 96, 64), (0, 10, 20, 120, 60), (1, 40, 8, 130, 90)],
    "the whole image": [(0, 0, 0, 144, 96), (1, 0, 0, 144, 96)],
    "past the border": [(0, -50, -30, 60, 40), (1, 100, 70, 200, 160), (0, -40, 20, 300, 60)],
    "one wholly outside": [(0, 20, 10, 90, 80), (1, 200, 10, 290, 60), (0, -90, -90, -40, -40)],
    "thinner than a cell": [(0, 30, 10, 33, 80), (1, 50, 50, 51, 51), (0, 7.5, 8.5, 24, 9.5)],
    "on the edges of cells": [(0, 16, 32, 80, 64), (1, 8, 8, 40, 56), (0, 24, 24, 24, 24)],
    "far larger than the map": [(0, -3000, -2000, 5000, 4000), (1, -7e5, 10, 9e5, 90)],
    "none": [],
}
ROIS = {name: torch.tensor(rows, dtype=torch.float32).reshape(-1, 5) for name, rows in _ROWS.items()}
UPSIDE_DOWN = torch.tensor([[0, 90, 80, 20, 10], [1, 20, 80, 90, 10]], dtype=torch.float32)
NAN, INF = float("nan"), float("inf")
UNREADABLE = torch.tensor(
    [
        [0, NAN, 10, 90, 80],
        [0, 20, 10, 90, NAN],
        [1, 20, -INF, 90, 80],
        [1, -INF, -INF, INF, INF],
        [0, 20, 10, 1e30, 80],
        [2, 20, 10, 90, 80],  # no such image
        [-1, 20, 10, 90, 80],
        [NAN, 20, 10, 90, 80],
    ]
)

each_rois = pytest.mark.parametrize("rois", ROIS.values(), ids=ROIS.keys())


def distinct_map(channels: int = 3, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """No value twice: of two equal maxima one may send the gradient to either, rightly."""
    count = IMAGES * channels * HEIGHT * WIDTH
    values = torch.randperm(count, generator=torch.Generator().manual_seed(channels)) / count - 0.5
    return values.reshape(IMAGES, channels, HEIGHT, WIDTH).to(dtype)


def random_rois(count: int, seed: int = 0, images: int = IMAGES) -> torch.Tensor:
    """Of all sizes and places, some of them past the border."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(count, 2, 2, generator=generator) * torch.tensor([200.0, 140.0]) - 25
    image = torch.randint(0, images, (count, 1), generator=generator)
    return torch.cat((image, points.amin(1), points.amax(1)), 1)


def gradient_of(op, features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Of the bins' sum, each bin weighted."""
    features = features.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    (op(features) * weight).sum().backward()
    return features.grad


def some_weights(shape: torch.Size, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7)).to(dtype)
