"""A sliding product of m outputs and 3 taps by m + 2 multiplications, not 3 m (Winograd 1980, Toom and Cook's points).

``y[i] = sum_j d[i + j] g[j]`` is ``give @ ((taps @ g) * (take @ d))`` with three constant matrices: two polynomials are
multiplied by their values at m + 1 points and at infinity, transposed.  Along both sides of a map that is m x m outputs
by (m + 2)^2 multiplications in place of 9 m^2: 4 times fewer for m = 4, 5.4 times for m = 7 (Lavin and Gray 2015, "Fast
Algorithms for Convolutional Neural Networks").

What it costs is digits: the points' powers cancel in ``give``.  Relative to direct float32 convolution of 512 channels,
which is 2e-7 from float64's (root mean square of the error by that of the answer), m = 4 is 2e-6 and m = 7 is 1.3e-5.
TF32, which GPUs take for convolutions unless told otherwise, rounds each factor by up to 5e-4.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import log2
from typing import NamedTuple

import torch
from torch import Tensor

TAPS = 3
_HALF, _THIRD, _QUARTER = Fraction(1, 2), Fraction(1, 3), Fraction(1, 4)
POINTS: dict[int, tuple[Fraction | int, ...]] = {  # of m: those of least error among some hundred choices each
    2: (0, 1, -1),
    3: (1, -1, _THIRD, -_THIRD),
    4: (0, 1, -1, -_HALF, 2),
    5: (1, -1, _THIRD, -_THIRD, -2, 3 * _HALF),
    6: (0, 1, -1, _HALF, -_HALF, 2, -2),
    7: (1, -1, 2, -2, 2 * _THIRD, -2 * _THIRD, _QUARTER, -_QUARTER),
}


class Product(NamedTuple):
    """``give @ ((taps @ g) * (take @ d))``, float64."""

    take: Tensor  # (P, inputs)
    taps: Tensor  # (P, taps)
    give: Tensor  # (outputs, P)


@cache
def along_a_side(outputs: int) -> Product:
    """P = inputs = outputs + 2; ``outputs`` is 2 to 7."""
    points = [Fraction(point) for point in POINTS[outputs]]
    count = outputs + TAPS - 1
    interpolation = _transposed(_inverse(_values(points, count)))
    taps, give = _values(points, TAPS), _transposed(_values(points, outputs))
    matrices = [[[float(v) for v in row] for row in rows] for rows in (interpolation, taps, give)]
    return _balanced(*(torch.tensor(matrix, dtype=torch.float64, device="cpu") for matrix in matrices))


def _values(points: Sequence[Fraction], terms: int) -> list[list[Fraction]]:
    """The matrix that takes a polynomial's coefficients to its values, the last one at infinity."""
    at_infinity = [Fraction(0)] * (terms - 1) + [Fraction(1)]
    return [*([point**power for power in range(terms)] for point in points), at_infinity]


def _transposed(matrix: Sequence[Sequence[Fraction]]) -> list[list[Fraction]]:
    return [list(column) for column in zip(*matrix, strict=True)]


def _inverse(matrix: Sequence[Sequence[Fraction]]) -> list[list[Fraction]]:
    """Exact, by Gauss and Jordan."""
    size = len(matrix)
    rows = [[*row, *(Fraction(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for i, row in enumerate(rows):
            if i != column and row[column]:
                rows[i] = [value - row[column] * other for value, other in zip(row, rows[column], strict=True)]
    return [row[size:] for row in rows]


def _balanced(take: Tensor, taps: Tensor, give: Tensor) -> Product:
    """Scaled by powers of two, which costs no digit, so that what is multiplied is about as large as what was there."""
    for point in range(len(take)):
        inputs = 2.0 ** round(log2(take[point].abs().sum()))
        weights = 2.0 ** round(log2(taps[point].abs().max()))
        take[point] /= inputs
        taps[point] /= weights
        give[:, point] *= inputs * weights
    return Product(take, taps, give)


def on_a_map(rows: Product, columns: Product) -> Product:
    """The same along both sides at once: cells row by row, taps row by row."""
    return Product(*(torch.kron(one, other) for one, other in zip(rows, columns, strict=True)))
