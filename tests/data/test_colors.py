"""Random colours: their bounds, that a seed alone decides, and AlexNet's against the covariance it was made from."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from resdet.config import AugmentConfig
from resdet.data.colors import color_jitter, lighting, lit

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
ALL = AugmentConfig(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)


def test_a_seed_alone_decides_the_colours():
    jitter, other = color_jitter(ALL), color_jitter(ALL)
    first = [jitter(IMAGE, seed) for seed in range(12)]
    random.seed(9)
    np.random.seed(9)
    for seed in (*range(100, 105), *reversed(range(12))):  # another order, another past
        pixels = other(IMAGE, seed)
        assert seed >= 12 or (pixels == first[seed]).all()
    assert len({pixels.tobytes() for pixels in first}) > 8


def test_colours_leave_their_input_alone_and_keep_its_form():
    before = IMAGE.copy()
    for seed in range(8):
        pixels = color_jitter(replace(ALL, hue=0.2))(IMAGE, seed)
        assert (pixels.shape, pixels.dtype) == (IMAGE.shape, np.uint8)
    assert (before == IMAGE).all()


def test_the_share_of_changed_images_is_the_probability():
    jitter = color_jitter(replace(ALL, hue=0.0, color_probability=0.3))
    changed = sum((jitter(IMAGE, seed) != IMAGE).any() for seed in range(300))
    assert 90 - 32 < changed < 90 + 32  # 4 deviations of 8


def test_brightness_stays_within_its_strength():
    how = AugmentConfig(brightness=0.4, contrast=0.0, saturation=0.0, hue=0.0, color_probability=1.0)
    grey = np.full((8, 8, 3), 100, np.uint8)
    values = [int(color_jitter(how)(grey, seed).mean()) for seed in range(200)]
    assert 60 <= min(values) < 64
    assert 136 < max(values) <= 140


@pytest.mark.parametrize(
    "how",
    [
        replace(ALL, color_probability=0.0),
        AugmentConfig(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0),
    ],
)
def test_no_colours_is_no_function(how):
    assert color_jitter(how) is None


def test_strengths_of_more_than_one_stop_at_black():
    how = AugmentConfig(brightness=3.0, color_probability=1.0)
    assert all(math.isfinite(color_jitter(how)(IMAGE, seed).mean()) for seed in range(5))


LIGHT = AugmentConfig(pca_lighting=0.1)


def test_the_shift_of_all_images_has_the_covariance_of_the_components():
    """E[s s^T] = sum of (255 sigma l_i)^2 p_i p_i^T, since the numbers drawn are independent."""
    rng = np.random.default_rng(0)
    shifts = np.array([lighting(rng, LIGHT) for _ in range(20_000)])
    values, vectors = np.array(LIGHT.pca_values), np.array(LIGHT.pca_vectors)
    expected = (vectors.T * (255 * 0.1 * values) ** 2) @ vectors
    assert np.abs(shifts.mean(0)).max() < 0.1  # deviation 3.2 over the root of 20,000
    np.testing.assert_allclose(np.cov(shifts.T), expected, rtol=0.05)
    np.testing.assert_allclose(np.linalg.eigvalsh(np.cov(shifts.T))[::-1], (25.5 * values) ** 2, rtol=0.05)


def test_imagenets_components_are_those_of_grey_light_first():
    values, vectors = np.array(LIGHT.pca_values), np.array(LIGHT.pca_vectors)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(3), atol=1e-3)
    assert (np.diff(values) < 0).all()
    assert np.ptp(vectors[0]) < 0.02  # red, green and blue alike


def test_every_pixel_is_moved_alike_rounded_and_cut():
    pixels = np.array([[[0, 100, 250], [2, 255, 9]]], np.uint8)
    assert lit(pixels, np.array([-1.6, 0.4, 7.5])).tolist() == [[[0, 100, 255], [0, 255, 16]]]
    assert (lit(IMAGE, np.zeros(3)) == IMAGE).all()


def test_a_seed_decides_the_light_too():
    one, other = (lighting(np.random.default_rng(3), LIGHT) for _ in range(2))
    assert (one == other).all()
    assert (one != lighting(np.random.default_rng(4), LIGHT)).all()
