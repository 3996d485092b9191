"""Where localization goes wrong, as a page to be read by a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resdet.report import html

HEADER = (
    "images",
    "class wrong",
    "box wrong, true class given",
    "class and box",
    "95 %",
    "of them: only the class",
    "only the box",
    "both",
)
OBJECTS = {
    "per_side": ("Objects by their size", "sqrt of the area, pixels"),
    "per_share": ("Objects by their share of the image", "% of its area"),
    "per_aspect": ("Objects by their shape", "width / height"),
}


def loc_page(title: str, metrics: Mapping[str, Any], worst: Sequence[tuple[np.ndarray | None, str]], note: str) -> str:
    """A page of HTML.

    Args:
        metrics: of :func:`resdet.eval.loc.loc_metrics`, with what :func:`resdet.eval.loc_breakdown.loc_breakdown` adds.
        worst: the worst images, the worst first: a picture, where there is one, and what it shows.
        note: what is to be said of the worst images.
    """
    parts = [
        html.paragraph(f"{metrics['images']} images, {metrics['blacklisted']} blacklisted. All errors are in percent."),
        _guesses(metrics),
        html.heading("The worst images"),
        html.paragraph(note),
        html.figures(worst),
    ]
    for key, (name, unit) in OBJECTS.items():
        if metrics[key]:
            rows = [(bounds, *_cells(group)) for bounds, group in metrics[key].items()]
            parts += [html.heading(name), html.table((unit, *HEADER), rows)]
    classes = sorted(metrics["per_class"].values(), key=lambda group: -group["loc_top5_error"])
    rows = [(group["name"], *_cells(group)) for group in classes]
    return html.page(title, [*parts, html.heading("Classes, the hardest first"), html.table(("class", *HEADER), rows)])


def _guesses(metrics: Mapping[str, Any]) -> str:
    """Errors by the number of guesses, and with the class given, each with its interval."""
    ci95 = metrics["ci95"]
    rows: list[tuple[object, ...]] = []
    for k, errors in metrics["top_k"].items():
        of_k = ci95["top_k"][k]
        rows.append((k, *(_with_interval(errors[key], of_k[key]) for key in ("cls_error", "loc_error"))))
    given = _with_interval(metrics["gt_class_loc_error"], ci95["gt_class_loc_error"])
    return html.table(("guesses", "class wrong", "class and box"), [*rows, ("true class given", "", given)])


def _cells(group: Mapping[str, Any]) -> list[str]:
    errors, (low, high) = group["errors"], group["ci95"]
    shares = (errors["class_wrong"], errors["box_wrong"], errors["both_wrong"])
    numbers = (group["cls_top5_error"], group["gt_class_loc_error"], group["loc_top5_error"])
    return [str(group["images"]), *map(_number, numbers), f"{low:.1f} to {high:.1f}", *map(_number, shares)]


def _with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    return "unknown" if value is None or interval is None else f"{value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"
