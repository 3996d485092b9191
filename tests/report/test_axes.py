import math

import numpy as np
import pytest

from resdet.report.axes import BOTTOM, COLORS, LEFT, RIGHT, TOP, Curve, Panel, draw, page, ticks

WIDTH, HEIGHT = 300, 200
RED, BLUE = (255, 0, 0), (0, 0, 255)


def drawn(*curves, y_range=(0.0, 10.0), width=WIDTH):
    return draw(Panel("Title", "x", "y", curves, y_range), width, HEIGHT)


def inked(picture, color):
    """Where a picture has a color, or one that was smoothed towards it."""
    return (np.abs(picture.astype(int) - np.array(color)) < 40).all(-1)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (1, 16, [5, 10, 15]),
        (43, 92, [50, 60, 70, 80, 90]),
        (-3e-4, 3e-4, [-2e-4, 0, 2e-4]),
        (0, 64000, [0, 20000, 40000, 60000]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_there_are_few_ticks_on_any_axis():
    rng = np.random.default_rng(0)
    for low, span in zip(rng.normal(0, 100, 300), 10 ** rng.uniform(-6, 6, 300), strict=True):
        found = ticks(low, low + span)
        assert 2 <= len(found) <= 6
        assert low - 1e-6 * span <= found[0]
        assert found[-1] <= low + span * (1 + 1e-6)


def test_a_curve_lies_where_its_values_are():
    picture = drawn(Curve("", (0.0, 100.0), (2.5, 2.5), RED))
    rows, columns = np.nonzero(inked(picture, RED))
    axis = HEIGHT - TOP - BOTTOM
    assert rows.mean() == pytest.approx(HEIGHT - BOTTOM - axis / 4, abs=1)
    assert rows.max() - rows.min() <= 2
    assert (columns.min(), columns.max()) == (pytest.approx(LEFT, abs=1), pytest.approx(WIDTH - RIGHT, abs=1))


def test_what_lies_outside_the_range_is_cut_off():
    picture = drawn(Curve("", (0.0, 1.0, 2.0), (-5.0, 5.0, 30.0), RED))
    rows, columns = np.nonzero(inked(picture, RED))
    assert rows.min() >= TOP - 1
    assert rows.max() <= HEIGHT - BOTTOM
    assert columns.min() > LEFT + 40  # it comes in halfway to the middle


def test_nan_is_a_gap():
    x = tuple(float(i) for i in range(9))
    picture = drawn(Curve("", x, (5, 5, 5, math.nan, math.nan, math.nan, 5, 5, 5), RED))
    columns = np.unique(np.nonzero(inked(picture, RED))[1])
    axis = WIDTH - LEFT - RIGHT
    assert (np.diff(columns) > 1).sum() == 1
    assert np.diff(columns).max() == pytest.approx(axis / 2, abs=4)  # from 2 to 6 of 8


def test_a_dashed_curve_has_gaps_and_a_solid_one_has_none():
    for dashed in (False, True):
        columns = np.unique(np.nonzero(inked(drawn(Curve("", (0.0, 1.0), (5, 5), RED, dashed)), RED))[1])
        assert (np.diff(columns) > 1).sum() == (pytest.approx(22, abs=2) if dashed else 0)  # 224 pixels by 10


def test_a_single_point_is_seen_and_nothing_at_all_is_an_empty_panel():
    assert inked(drawn(Curve("", (3.0,), (5.0,), RED)), RED).sum() > 5
    assert inked(drawn(Curve("", (3.0,), (math.nan,), RED), y_range=None), RED).sum() == 0
    assert drawn().shape == (HEIGHT, WIDTH, 3)


def test_the_legend_stands_where_it_hides_nothing():
    falling = Curve("falling", (0.0, 1.0), (10.0, 0.0), RED)
    rising = Curve("rising", (0.0, 1.0), (0.0, 10.0), BLUE)
    top, middle = (inked(drawn(falling), RED)[TOP:90, 180:], inked(drawn(rising), BLUE)[TOP:90, 75:120])
    assert top.any()  # the line's sample, upper right, where the curve is not
    assert middle.any()  # upper left


def test_a_name_too_long_for_the_legend_loses_its_beginning_and_nothing_else_of_it():
    short = drawn(Curve("r", (), (), RED), Curve("b", (), (), BLUE))
    long = drawn(Curve("/a/folder/of/runs/that/is/far/from/here" * 3 + "/r", (), (), RED), Curve("b", (), (), BLUE))
    for color in (RED, BLUE):  # the lines' samples are whole, and beside the axis nothing is written on
        assert inked(long, color).sum() == inked(short, color).sum() > 0
    assert np.array_equal(long[:, : LEFT - 1], short[:, : LEFT - 1])


def test_a_curve_without_points_is_in_the_legend_alone():
    picture = drawn(Curve("shown", (0.0, 1.0), (1.0, 1.0), BLUE), Curve("training", (), (), RED, True))
    rows, columns = np.nonzero(inked(picture, RED))
    assert len(rows)
    assert columns.max() - columns.min() <= 31


def test_a_page_holds_its_panels_in_rows():
    panel = Panel("any name, ünïcode too", "x", "y", (Curve("a", (0.0, 1.0), (0.0, 1.0), COLORS[0]),))
    assert page([panel] * 3, 2, 200, 150).shape == (300, 400, 3)
    sheet = page([panel] * 3, 2, 200, 150)
    assert np.array_equal(sheet[:150, :200], sheet[150:, :200])
    assert (sheet[150:, 200:] == 255).all()
    assert page([panel], 4, 200, 150).shape == (150, 200, 3)
    with pytest.raises(ValueError, match="at least one panel"):
        page([], 2)


def test_a_constant_curve_has_axes_too():
    picture = draw(Panel("t", "x", "y", (Curve("", (0.0, 1.0), (7.0, 7.0), RED),)), WIDTH, HEIGHT)
    assert np.nonzero(inked(picture, RED))[0].mean() == pytest.approx(TOP + (HEIGHT - TOP - BOTTOM) / 2, abs=1)
