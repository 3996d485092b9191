"""A ResNet from elsewhere: its weights under our names, and all that must agree for them to mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PretrainedResNet:
    """A published ResNet of 7x7 stem and option B, and how it wants to be used."""

    source: str  # the name it was asked for by
    state: dict[str, Tensor]  # under our names, for RGB
    depth: int
    stride_in: str  # both choices have the same shapes: a wrong one loads, and costs most of the accuracy
    mean: tuple[float, ...]  # RGB in 0 .. 255
    std: tuple[float, ...]
    resize: int = 256  # shorter side before the centre crop, pixels
    crop: int = 224  # side of the centre crop, pixels


def renormalised(
    state: dict[str, Tensor],
    mean: Sequence[float],
    std: Sequence[float],
    new_mean: Sequence[float],
    new_std: Sequence[float],
) -> dict[str, Tensor]:
    """The same network for images that are normalised otherwise.

    ``(p - mean) / std`` is ``(q * new_std + new_mean - mean) / std`` of the newly normalised ``q``: a factor for each
    input channel of conv1, and a constant that batch norm's running mean takes up.  With a new mean this is exact but
    for the outermost three pixels, where the padding's zeros mean another colour.

    Args:
        state: ``conv1.weight`` and ``bn1.running_mean`` are read, and come back changed in a new dict.
        mean, std, new_mean, new_std: RGB in 0 .. 255.
    """
    if tuple(mean) == tuple(new_mean) and tuple(std) == tuple(new_std):
        return state
    old_mean, old_std, mean_, std_ = (torch.tensor(v, dtype=torch.float64) for v in (mean, std, new_mean, new_std))
    weight = state["conv1.weight"].double()
    shift = (weight * ((mean_ - old_mean) / old_std).view(1, 3, 1, 1)).sum((1, 2, 3))
    return {
        **state,
        "conv1.weight": (weight * (std_ / old_std).view(1, 3, 1, 1)).to(state["conv1.weight"].dtype),
        "bn1.running_mean": (state["bn1.running_mean"].double() - shift).to(state["bn1.running_mean"].dtype),
    }
