"""Precision against recall, a panel for each class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from resdet.eval.average_precision import Curve, never_rising
from resdet.report import axes

MOST_POINTS = 500  # of a curve: more are not to be told apart on a panel
SMALL_PANELS = 12  # classes: of more, the panels are smaller
MEASURED, COUNTED = axes.COLORS[0], axes.COLORS[1]


def pr_page(
    names: Sequence[str], curves: Sequence[Curve | None], ap: Sequence[float], measure: str = "AP"
) -> np.ndarray:
    """All classes that have a curve on one page: ``(H, W, 3)`` uint8 RGB.

    The thin line is what was measured.  The thick one is the best precision at this recall or a higher one, from which
    average precision is computed.

    Args:
        names: of the classes.
        ap: average precision of each, in percent, for the titles; NaN where there is no curve.
        measure: what that is called.

    Raises:
        ValueError: no class has a curve.
    """
    rows = zip(names, curves, ap, strict=True)
    known = [(f"{name}  {measure} {value:.1f}", curve) for name, curve, value in rows if curve is not None]
    columns = math.ceil(math.sqrt(len(known)))
    size = (480, 360) if len(known) <= SMALL_PANELS else (300, 240)
    return axes.page([_panel(title, curve) for title, curve in known], columns, *size)


def _panel(title: str, curve: Curve) -> axes.Panel:
    measured = _thinned(curve.recall, curve.precision)
    counted = _stairs(*_thinned(curve.recall, never_rising(curve.precision)))
    whole = axes.Curve("", (0.0, 1.0), (math.nan, math.nan))  # draws nothing, and has recall go from 0 to 1
    lines = (axes.Curve("", *measured, MEASURED, thickness=1.0), axes.Curve("", *counted, COUNTED))
    return axes.Panel(title, "recall", "precision", (whole, *lines), y_range=(0.0, 1.02))


def _stairs(recall: tuple[float, ...], precision: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The precision at each point holds from the recall before it on, at the first point from none."""
    x = [edge for pair in pairwise((0.0, *recall)) for edge in pair]
    return tuple(x), tuple(y for y in precision for _ in range(2))


def _thinned(recall: np.ndarray, precision: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """At most :data:`MOST_POINTS` of the points, evenly along the recall, the first and the last among them."""
    if len(recall) > MOST_POINTS:
        wanted = np.linspace(recall[0], recall[-1], MOST_POINTS - 1)
        kept = np.unique(np.append(np.searchsorted(recall, wanted).clip(max=len(recall) - 1), len(recall) - 1))
        recall, precision = recall[kept], precision[kept]
    return tuple(recall.tolist()), tuple(precision.tolist())
