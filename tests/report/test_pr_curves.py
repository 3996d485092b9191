import math

import numpy as np
import pytest

from resdet.eval.average_precision import Curve
from resdet.report.axes import BOTTOM, COLORS, LEFT, RIGHT, TOP
from resdet.report.pr_curves import MOST_POINTS, pr_page

WIDTH, HEIGHT = 480, 360  # of a panel, where classes are few


def curve(*points):
    recall, precision = np.array(points, dtype=float).T
    return Curve(recall, precision)


def at(recall, precision):
    """The pixel of a point of the only panel."""
    x = LEFT + recall * (WIDTH - RIGHT - LEFT)
    return round(x), round(HEIGHT - BOTTOM - precision / 1.02 * (HEIGHT - BOTTOM - TOP))


def is_near(picture, place, color):
    x, y = place
    return (np.abs(picture[y - 2 : y + 3, x - 2 : x + 3].astype(int) - color).max(-1) < 70).any()


def test_recall_goes_from_0_to_1_however_far_the_curve_reaches():
    picture = pr_page(["ant"], [curve((0.25, 1.0), (0.5, 0.5))], [37.5])
    assert picture.shape == (HEIGHT, WIDTH, 3)
    for recall, precision in ((0.1, 1.0), (0.25, 0.75), (0.4, 0.5)):  # stairs, from a recall of none
        assert is_near(picture, at(recall, precision), COLORS[1])
    assert not is_near(picture, at(0.9, 0.5), COLORS[1])


def test_what_was_measured_lies_below_what_is_counted():
    picture = pr_page(["ant"], [curve((0.0, 0.2), (0.5, 0.2), (1.0, 0.8))], [80.0])
    assert is_near(picture, at(0.25, 0.8), COLORS[1])  # a higher recall has a better precision
    assert is_near(picture, at(0.25, 0.2), COLORS[0])


def test_every_class_with_a_curve_has_a_panel_and_many_have_smaller_ones():
    one, none = curve((1.0, 1.0)), Curve(np.zeros(0), np.zeros(0))
    few = pr_page(["ant", "bee", "cat"], [one, None, none], [100.0, math.nan, 0.0])
    assert few.shape == (HEIGHT, 2 * WIDTH, 3)
    many = [f"class {k}" for k in range(20)]
    assert pr_page(many, [one] * 20, [100.0] * 20).shape == (4 * 240, 5 * 300, 3)


def test_a_curve_of_a_million_points_looks_as_one_of_a_few():
    recall = np.repeat(np.linspace(0, 1, 1000), 1000)
    dense = Curve(recall, 1 - recall / 2)
    sparse = Curve(recall[:: len(recall) // MOST_POINTS], 1 - recall[:: len(recall) // MOST_POINTS] / 2)
    a, b = (pr_page(["ant"], [c], [75.0]).astype(int) for c in (dense, sparse))
    assert np.abs(a - b).mean() < 0.5


def test_no_curves_make_no_page():
    with pytest.raises(ValueError, match="at least one panel"):
        pr_page(["ant"], [None], [math.nan])
