"""What each of Appendix B's improvements is worth: the rows of Table 9, measured for given detectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from resdet.data.records import Records
from resdet.inference.det import DetProtocol
from resdet.jobs.detection import Ensemble, open_ensemble
from resdet.options import Running
from resdet.predictions.det import DetPredictions

SCALES = (200, 400, 600, 800, 1000)  # of a detector trained at 600, in the paper


@dataclass(frozen=True)
class AblationRow:
    """One row: everything of the rows above, and one thing more."""

    name: str
    metrics: dict[str, Any]  # what was measured; "mAP" is among it
    ms_per_image: float  # reading images included


def ablation(
    weights: Sequence[str | Path],
    settings: Sequence[str],
    running: Running,
    records: Records,
    measure: Callable[[DetPredictions], dict[str, Any]],
) -> Iterator[AblationRow]:
    """Baseline, box refinement, box voting, global context, multi-scale testing, ensemble: each on top of the last.

    The first detector without context makes the rows up to voting, the first with context the next ones; where there
    is only one kind, it makes all.  The ensemble is all of them.

    Args:
        weights, settings, running: as :func:`resdet.jobs.detection.predict_with`; ``test.scales``, ``test.refine_box``
            and ``test.vote_iou`` say what the improvements are where they are not the paper's, given together with
            ``test.refine=true`` and ``test.vote=true``.
        measure: the numbers of what was found.
    """
    together = open_ensemble(weights, settings, running, records)
    for name, detectors in _rows(together):
        began = perf_counter()
        found = detectors.predict(records, name)
        spent = 1000 * (perf_counter() - began) / len(records)
        yield AblationRow(name, measure(found), spent)


def ablation_table(rows: Sequence[AblationRow]) -> str:
    """Several lines of text, without a last newline: mAP in percent, what the row added, and its time."""
    columns = [name for name in ("mAP", "AP50") if all(row.metrics.get(name) is not None for row in rows)]
    lines = ["".join((f"{'':<28}", *(f"{name:>8}{'+':>8}" for name in columns), f"{'ms/image':>12}"))]
    before: dict[str, float] = {}
    for row in rows:
        cells = []
        for name in columns:
            value = row.metrics[name]
            gain = f"{value - before[name]:+8.2f}" if name in before else f"{'':>8}"
            cells.append(f"{value:8.2f}{gain}")
            before[name] = value
        lines.append("".join((f"{row.name:<28}", *cells, f"{row.ms_per_image:12.1f}")))
    return "\n".join(lines)


def _rows(together: Ensemble) -> Iterator[tuple[str, Ensemble]]:
    wanted = together.protocol
    plain = together.has_context.index(False) if False in together.has_context else 0
    context = together.has_context.index(True) if True in together.has_context else plain
    how = replace(wanted, refine="", vote_iou=None, scales=())
    yield "baseline, with context" if together.has_context[plain] else "baseline", _one(together, plain, how)
    how = replace(how, refine=wanted.refine or "top")
    yield "+ box refinement", _one(together, plain, how)
    how = replace(how, vote_iou=wanted.vote_iou or 0.5)
    yield "+ box voting", _one(together, plain, how)
    if context != plain:
        yield "+ context", _one(together, context, how)
    how = replace(how, scales=wanted.scales or tuple(round(side * wanted.shorter / 600) for side in SCALES))
    yield "+ multi-scale testing", _one(together, context, how)
    if len(together.models) > 1:
        yield f"ensemble of {len(together.models)}", replace(together, protocol=how)


def _one(together: Ensemble, index: int, protocol: DetProtocol) -> Ensemble:
    """One detector of several, tested in its own way."""
    only = slice(index, index + 1)
    return replace(
        together,
        models=together.models[only],
        labels=together.labels[only],
        has_context=together.has_context[only],
        precisions=together.precisions[only],
        protocol=protocol,
    )
