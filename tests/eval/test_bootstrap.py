import time

import numpy as np
import pytest

from resdet.eval.bootstrap import mean_interval, paired_interval


def plain_bootstrap(values, resamples, seed):
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(0, len(values), len(values))].mean(0) for _ in range(resamples)]
    return np.percentile(means, (2.5, 97.5), axis=0)


def test_interval_is_that_of_drawing_images_one_by_one():
    values = np.random.default_rng(1).random(400)
    counted, drawn = mean_interval(values, 4000), plain_bootstrap(values, 4000, 2)
    assert counted == pytest.approx(drawn, abs=0.003)  # both ends vary by about 0.0015 with the seed


def test_interval_of_a_share_is_near_the_normal_approximation():
    values = np.repeat((0.0, 1.0), (7000, 3000))
    half = 1.96 * np.sqrt(0.3 * 0.7 / 10_000)
    assert mean_interval(values) == pytest.approx((0.3 - half, 0.3 + half), abs=0.001)


def test_columns_are_resampled_together_and_come_out_in_their_order():
    values = np.stack((np.arange(100) % 2, np.zeros(100), np.ones(100)), axis=1)
    low, high = mean_interval(values)
    assert low[0] < 0.5 < high[0]
    assert (low[1:], high[1:]) == (pytest.approx([0, 1]), pytest.approx([0, 1]))


def test_same_seed_same_interval():
    values = np.random.default_rng(0).random((50, 2)) < 0.3
    assert (mean_interval(values) == mean_interval(values)).all()
    assert (mean_interval(values) != mean_interval(values, seed=1)).any()


def test_paired_difference_knows_that_the_images_are_the_same():
    rng = np.random.default_rng(0)
    hard = rng.random(5000) < 0.4
    a, b = hard | (rng.random(5000) < 0.02), hard  # a is wrong a little more often, on the same images
    low, high = paired_interval(a, b)
    assert 0 < low < (a.mean() - b.mean()) < high
    alone_a, alone_b = mean_interval(a), mean_interval(b)
    assert alone_a[0] < alone_b[1]  # the separate intervals overlap and would show nothing


def test_fifty_thousand_images_take_well_under_a_second():
    misses = np.random.default_rng(0).random((50_000, 10)) < 0.5
    began = time.process_time()
    mean_interval(misses[:, :6])
    assert time.process_time() - began < 1.0


def test_no_images_and_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match="at least one image"):
        mean_interval([])
    with pytest.raises(ValueError, match=r"one shape, got \(2,\) and \(1,\)"):
        paired_interval([1, 0], [1])
