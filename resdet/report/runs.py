"""Training runs as curves: their error against epochs, and the responses of their layers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resdet.errors import InputError, UsageError
from resdet.report.axes import COLORS, Curve, Panel
from resdet.settings import parse_yaml

PARTS = (("validation", False), ("training", True))  # solid and dashed, as in Fig. 6


@dataclass(frozen=True)
class History:
    """One metric of a run, at each of its evaluations."""

    folder: Path
    name: str  # in pictures
    plain: bool  # a net without shortcuts
    epochs: tuple[float, ...]
    validation: tuple[float, ...]
    training: tuple[float, ...]  # mean since the evaluation before, NaN where it was not measured


def read_histories(folders: Sequence[Path], metric: str) -> list[History]:
    """Those of several runs, named as their folders are, or by the whole paths where names would be the same.

    Raises:
        InputError: as :func:`read_history`.
    """
    found = [read_history(folder, metric) for folder in folders]
    names = [history.name for history in found]
    return [h if names.count(h.name) == 1 else replace(h, name=str(h.folder)) for h in found]


def read_history(folder: Path, metric: str) -> History:
    """Read ``metrics.jsonl`` and ``config.yaml`` of a run's folder.

    Raises:
        InputError: one is missing or cannot be read, or the run was never evaluated by ``metric``.
    """
    rows = [row for row in _rows(folder / "metrics.jsonl") if f"val/{metric}" in row]
    if not rows:
        raise InputError(f"{folder / 'metrics.jsonl'}: no row has val/{metric}: not evaluated yet, or by another name")

    def values(name: str) -> tuple[float, ...]:
        return tuple(_number(row.get(name)) for row in rows)

    return History(
        folder=folder,
        name=folder.resolve().name,
        plain=_shortcut(folder / "config.yaml") == "none",
        epochs=values("epoch"),
        validation=values(f"val/{metric}"),
        training=values(f"train/{metric}"),
    )


def error_panels(histories: Sequence[History], label: str) -> list[Panel]:
    """Training and validation curves; plain and residual nets in panels of their own, side by side, on one scale.

    Args:
        label: of the y axis.

    Raises:
        UsageError: a panel has more runs than there are colors, and no room for their names.
    """
    groups = {"Plain nets": [h for h in histories if h.plain], "Residual nets": [h for h in histories if not h.plain]}
    groups = {title: group for title, group in groups.items() if group}
    if len(groups) == 1:
        groups = {"": list(histories)}
    for group in groups.values():
        if len(group) > len(COLORS):
            raise UsageError(f"{len(group)} runs in one panel: wanted {len(COLORS)} at most, or colours would repeat")
    known = [v for h in histories for v in (*h.validation, *h.training) if math.isfinite(v)] or [0.0]
    air = 0.04 * (max(known) - min(known)) or 0.5
    ys = (min(known) - air, max(known) + air)
    xs = (0.0, max(epoch for h in histories for epoch in h.epochs))
    return [Panel(title, "epoch", label, _error_curves(group), ys, xs) for title, group in groups.items()]


def _error_curves(group: Sequence[History]) -> tuple[Curve, ...]:
    curves = []
    for number, run in enumerate(group):
        color = COLORS[number]
        curves.append(Curve("", run.epochs, run.training, color, dashed=True, thickness=1.5))
        curves.append(Curve(run.name, run.epochs, run.validation, color))
    return (*curves, *(Curve(name, (), (), dashed=dashed) for name, dashed in PARTS))


def response_panels(responses: Mapping[str, Sequence[float]], plain: Sequence[str]) -> list[Panel]:
    """Each run's layer responses, from the image to the classifier, and from the largest to the smallest (Fig. 7).

    Args:
        responses: name of a run -> deviation of each of its 3x3 layers.
        plain: the runs that are dashed here, to tell plain nets from residual ones.
    """
    colors = _paired_colors(list(responses), plain)
    panels = []
    for title, axis, ordered in (
        ("Layer responses, in order", "layer", list),
        ("Layer responses, sorted by size", "rank", _falling),
    ):
        curves = []
        for name, values in responses.items():
            places = tuple(float(i) for i in range(1, len(values) + 1))
            curves.append(
                Curve(name, places, tuple(ordered(values)), colors[name], dashed=name in plain, thickness=1.5)
            )
        panels.append(Panel(title, axis, "standard deviation", tuple(curves)))
    return panels


def _paired_colors(names: Sequence[str], plain: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """The n-th plain net and the n-th residual one share a color, as they do over the error's two panels."""
    groups = ([n for n in names if n in plain], [n for n in names if n not in plain])
    return {name: COLORS[i % len(COLORS)] for group in groups for i, name in enumerate(group)}


def _falling(values: Sequence[float]) -> list[float]:
    return sorted(values, reverse=True)


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # hundreds of digits
        return math.nan


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    """One at a time: of a run that logs each of 600,000 steps, all together would take a gigabyte."""
    if not file.is_file():
        raise InputError(f"{file}: not found; wanted the folder of a training run")
    text = file.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]  # of a run that goes on, the last line may be half there
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(f"{file}:{number}: not a line of JSON") from None
        if not isinstance(row, dict):
            raise InputError(f"{file}:{number}: wanted an object, got {line[:40]!r}")
        yield row


def _shortcut(file: Path) -> str:
    if not file.is_file():
        raise InputError(f"{file}: not found; wanted the folder of a training run")
    try:
        tree = parse_yaml(file.read_text(encoding="utf-8"))
        return str(tree["model"]["backbone"]["shortcut"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{file}: not the config of a training run: no model.backbone.shortcut in it") from None
