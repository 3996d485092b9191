"""Per-class regression (Simonyan & Zisserman 2014, App. A): one box for each class from the features of one window.

VGG puts the four numbers of each class's box in the place of the class scores, as the outputs of the last fully
connected layer.  What it reads is averages over the window's map: over all of it, as a residual net's classifier
does, or over each of a few bins, which keep more of where things are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet.heads.shared_gradients import shared_over_classes
from resdet.precision import without_autocast


class PerClassBox(nn.Module):
    """A fully connected layer with ReLU, then one that gives boxes: its output ``4 c + j`` is class c's j-th delta.

    VGG has two hidden layers, a residual net none.  Here it is one, as wide as the per-class RPN's neck: a layer that
    reads conv5's averages directly diverges at the learning rate of all others, because each step of its outputs is
    proportional to the sum of the inputs' squares, which is in the hundreds.

    Args:
        features: D, numbers that describe a window.
        neck: numbers between the two layers.
        classes: K.
        share_classes: learn a part shared by all classes plus a part for each, see :mod:`.shared_gradients`.
    """

    def __init__(self, features: int, neck: int, classes: int, *, share_classes: bool = False) -> None:
        super().__init__()
        self.classes, self.share_classes = classes, share_classes
        self.neck = nn.Linear(features, neck)
        self.reg = nn.Linear(neck, classes * 4)
        for layer in (self.neck, self.reg):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, windows: Tensor) -> Tensor:
        """``(..., D)`` -> ``(..., neck)``, the hidden numbers that boxes are read from."""
        return functional.relu(self.neck(windows))

    def all_classes(self, hidden: Tensor) -> Tensor:
        """The plain layer: ``(..., neck) -> (..., K, 4)``."""
        return functional.linear(hidden, *self._reg()).unflatten(-1, (self.classes, 4))

    def of_classes(self, hidden: Tensor, classes: Tensor) -> Tensor:
        """k classes an image at P windows: ``all_classes`` at ``[b, :, classes[b]]``, by the rows that it takes.

        Args:
            hidden: ``(B, P, neck)``.
            classes: ``(B, k)`` int64.

        Returns:
            ``(B, k, P, 4)`` float32 deltas.
        """
        rows, biases = (each.view(self.classes, -1) for each in self._reg())
        # an embedding's gradient is summed without a race
        weight = functional.embedding(classes, rows).unflatten(-1, (4, -1)).float()  # (B, k, 4, neck)
        bias = functional.embedding(classes, biases).float()  # (B, k, 4)
        with without_autocast(hidden):
            deltas = weight.flatten(1, 2) @ hidden.float().transpose(1, 2)  # (B, k * 4, P)
        return deltas.unflatten(1, (-1, 4)).transpose(2, 3) + bias[:, :, None]

    def _reg(self) -> list[Tensor]:
        """Weight and bias of ``reg``, as they learn."""
        own = [self.reg.weight, self.reg.bias]
        return [shared_over_classes(each, self.classes) for each in own] if self.share_classes else own


def window_features(feature: Tensor, window: tuple[int, int], bins: int) -> Tensor:
    """The averages over ``bins x bins`` parts of every window of a map, row by row: ``(B, C, h, w) -> (B, P, D)``.

    D is ``C * bins * bins``, and one window's numbers are ``adaptive_avg_pool2d(window, bins).flatten()``; they are
    computed for all windows at once.

    Args:
        window: its height and width in cells, at most the map's.
    """
    height, width = window
    rows, columns = feature.shape[2] - height + 1, feature.shape[3] - width + 1
    parts = []
    for top, bottom in _bins(height, bins):
        for left, right in _bins(width, bins):
            means = functional.avg_pool2d(feature, (bottom - top, right - left), stride=1)
            parts.append(means[:, :, top : top + rows, left : left + columns])
    together = torch.stack(parts, 2)  # (B, C, bins * bins, rows, columns)
    return together.flatten(3).flatten(1, 2).transpose(1, 2)


def window_grid(height: int, width: int, window: tuple[int, int], stride: int, like: Tensor) -> Tensor:
    """What every window of a ``height x width`` map covers of the input, in the order of :func:`window_features`.

    Returns:
        ``(P, 4)`` float32 pixels, on the device of ``like``.
    """
    rows, columns = height - window[0] + 1, width - window[1] + 1
    y, x = torch.meshgrid(
        torch.arange(rows, device=like.device), torch.arange(columns, device=like.device), indexing="ij"
    )
    corners = torch.stack((x, y, x + window[1], y + window[0]), -1)
    return (corners * float(stride)).reshape(-1, 4)


def _bins(cells: int, bins: int) -> list[tuple[int, int]]:
    """Each bin's first cell and the one behind its last, as adaptive pooling has them: bins may share a cell."""
    return [(i * cells // bins, -(-(i + 1) * cells // bins)) for i in range(bins)]
