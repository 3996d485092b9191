import math
from itertools import pairwise

import pytest

from resdet.report.strokes import along, dashes


def test_a_line_is_walked_in_steps_that_are_even_and_meet_its_corners():
    assert along([(0.0, 0.0), (3.0, 0.0), (3.0, 1.0)], 1.5) == [(0, 0), (1.5, 0), (3, 0), (3, 1)]
    assert along([(2.0, 2.0)], 1.0) == [(2.0, 2.0)]
    assert along([], 1.0) == []


def test_dashes_on_a_straight_line_are_those_counted_by_hand():
    assert dashes([(0.0, 0.0), (10.0, 0.0)], 3, 2) == [[(0, 0), (3, 0)], [(5, 0), (8, 0)]]
    assert dashes([(0.0, 0.0), (6.0, 0.0)], 3, 2) == [[(0, 0), (3, 0)], [(5, 0), (6, 0)]]


def test_a_dash_goes_around_a_corner():
    assert dashes([(0.0, 0.0), (2.0, 0.0), (2.0, 4.0)], 3, 2) == [[(0, 0), (2, 0), (2, 1)], [(2, 3), (2, 4)]]


def test_dashes_of_many_short_pieces_are_as_long_as_those_of_one():
    curve = [(x / 7, math.sin(x / 7)) for x in range(100)]
    lengths = [sum(math.dist(a, b) for a, b in pairwise(d)) for d in dashes(curve, 1.0, 0.5)]
    assert lengths[:-1] == pytest.approx([1.0] * (len(lengths) - 1))
    assert 0 < lengths[-1] <= 1.0


def test_points_that_coincide_make_no_dash():
    assert dashes([(1.0, 1.0), (1.0, 1.0)], 3, 2) == [[(1.0, 1.0), (1.0, 1.0)]]
    assert dashes([(1.0, 1.0)], 3, 2) == []
