"""Sliding products by fewer multiplications than they are written with."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from resdet.convolution.tiles import WHOLE
from resdet.convolution.toom_cook import POINTS, along_a_side, on_a_map

each_length = pytest.mark.parametrize("outputs", POINTS)


def test_worked_by_hand():
    """Two outputs by four multiplications, as Winograd has them (Lavin and Gray, Eq. 5), whatever the scaling."""
    d, g = np.array([2.0, -1.0, 3.0, 5.0]), np.array([1.0, 4.0, -2.0])
    m1, m2 = (d[0] - d[2]) * g[0], (d[1] + d[2]) * (g[0] + g[1] + g[2]) / 2
    m3, m4 = (d[2] - d[1]) * (g[0] - g[1] + g[2]) / 2, (d[1] - d[3]) * g[2]
    assert [m1 + m2 + m3, m2 - m3 - m4] == [-8.0, 1.0]  # 2 - 4 - 6 and -1 + 12 - 10
    product = along_a_side(2)
    assert len(product.take) == 4
    found = product.give @ ((product.taps @ torch.tensor(g)) * (product.take @ torch.tensor(d)))
    torch.testing.assert_close(found, torch.tensor([-8.0, 1.0], dtype=torch.float64))


@each_length
def test_outputs_are_numpy_s_sliding_product_by_two_multiplications_more_than_there_are(outputs):
    d, g = (torch.randn(count, dtype=torch.float64) for count in (outputs + 2, 3))
    product = along_a_side(outputs)
    found = product.give @ ((product.taps @ g) * (product.take @ d))
    expected = torch.from_numpy(np.correlate(d.numpy(), g.numpy(), mode="valid"))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert product.take.shape == (outputs + 2, outputs + 2)
    assert product.give.shape == (outputs, outputs + 2)


@each_length
def test_no_point_is_taken_twice(outputs):
    points = [Fraction(point) for point in POINTS[outputs]]
    assert len(set(points)) == len(points) == outputs + 1
    assert list(POINTS) == list(range(2, WHOLE + 1))


def test_matrices_are_of_float64_whatever_torch_s_default_is():
    along_a_side.cache_clear()
    torch.set_default_dtype(torch.bfloat16)
    try:
        assert {matrix.dtype for matrix in along_a_side(4)} == {torch.float64}
    finally:
        torch.set_default_dtype(torch.float32)
        along_a_side.cache_clear()


def test_both_sides_of_a_map_at_once():
    product = on_a_map(along_a_side(2), along_a_side(4))
    d, g = torch.randn(4, 6, dtype=torch.float64), torch.randn(3, 3, dtype=torch.float64)
    found = product.give @ ((product.taps @ g.flatten()) * (product.take @ d.flatten()))
    expected = torch.nn.functional.conv2d(d[None, None], g[None, None])
    torch.testing.assert_close(found.view(2, 4), expected[0, 0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("outputs, most", [(2, 5e-7), (3, 1e-6), (4, 2e-6), (5, 4e-6), (6, 7e-6), (7, 1.6e-5)])
def test_digits_lost_in_float32_are_as_few_as_stated(outputs, most):
    """Against float64, of 512 channels behind a ReLU: what the module says of tiles of 4 and maps of 7, and between."""
    torch.manual_seed(0)
    channels = 512
    d = torch.randn(64, outputs + 2, outputs + 2, channels).relu()
    g = torch.randn(64, 3, 3, channels) / (3 * channels**0.5)
    product = on_a_map(along_a_side(outputs), along_a_side(outputs))
    exact = torch.einsum(
        "btc,ktc->btk", product.take @ d.double().flatten(1, 2), product.taps @ g.double().flatten(1, 2)
    )
    exact = product.give @ exact
    take, taps, give = (matrix.float() for matrix in product)
    found = give @ torch.einsum("btc,ktc->btk", take @ d.flatten(1, 2), taps @ g.flatten(1, 2))
    assert ((found - exact).square().mean().sqrt() / exact.std()).item() < most
