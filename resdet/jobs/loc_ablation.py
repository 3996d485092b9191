"""Table 13, measured: VGG's method, the per-class RPN on one crop and densely, R-CNN behind it, and an ensemble."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from resdet.data.records import Records
from resdet.data.relabel import label_map, relabel
from resdet.errors import UsageError
from resdet.eval.bootstrap import mean_interval, paired_interval
from resdet.eval.loc import loc_outcomes
from resdet.jobs.localization import LocWeights, open_locators, predict_with
from resdet.jobs.roles import RoleSettings, by_role, check_roles, without_rcnns
from resdet.jobs.trained import open_classifier
from resdet.models.localizer import Localizer
from resdet.models.pcr import PCRLocalizer
from resdet.options import Running


@dataclass(frozen=True)
class Ladder:
    """The checkpoints of the table: the first of each kind makes the single rows, all together the last row."""

    pcr: Sequence[Path]
    rpn: Sequence[Path]
    rcnn: Sequence[Path]
    classifier: Sequence[Path]  # none: each localizer's own

    def rows(self) -> list[tuple[str, str, LocWeights]]:
        """What each row is called, how it is tested, and its networks; rows without networks are left out."""
        classes = self.classifier[:1]
        rows = [("VGG's (PCR)", "1-crop", LocWeights(self.pcr[:1], (), classes))] if self.pcr else []
        if self.rpn:
            rows += [("RPN", how, LocWeights(self.rpn[:1], (), classes)) for how in ("1-crop", "dense")]
        if self.rpn and self.rcnn:
            rows.append(("RPN + R-CNN", "dense", LocWeights(self.rpn[:1], self.rcnn[:1], classes)))
        if self.rpn and max(map(len, (self.rpn, self.rcnn, self.classifier))) > 1:
            name = "RPN + R-CNN, ensemble" if self.rcnn else "RPN, ensemble"
            rows.append((name, "dense", LocWeights(self.rpn, self.rcnn, self.classifier)))
        return rows


@dataclass(frozen=True)
class Measured:
    """A row: its errors in percent, and by how much they are below those of the row above."""

    method: str
    testing: str
    networks: str
    images: int
    ms_per_image: float  # of all that the row takes: opening its weights, its classifiers' pass, reading images
    gt_class_loc_error: float
    gt_class_ci95: tuple[float, float]
    gt_class_gain: tuple[float, float, float] | None  # over the row above, paired, with its 95 % interval
    loc_top5_error: float
    loc_top5_ci95: tuple[float, float]
    loc_top5_gain: tuple[float, float, float] | None


def ladder(
    weights: Ladder,
    settings: Sequence[str],
    running: Running,
    records: Records,
    left_out: NDArray[np.bool_],
) -> Iterator[Measured]:
    """Measure every row on the same images.

    Args:
        settings, running: as :func:`resdet.jobs.localization.open_locators`.
        left_out: ``(N,)``: images that do not count.

    Raises:
        UsageError: there is no localizer among the weights, one that no row has, or one of another kind.
        InputError: what is wrong with a file; nothing has been measured then.
    """
    rows = weights.rows()
    _check(weights, settings, running, records)
    above: NDArray[np.float64] | None = None
    for method, testing, networks in rows:
        began = perf_counter()
        own = settings if networks.rcnns else without_rcnns(settings)
        found = predict_with(networks, [*own, f"test.protocol={testing}"], running, records)
        spent = 1000 * (perf_counter() - began) / len(records)
        outcomes = loc_outcomes(found, records)
        right = (outcomes.class_hits & outcomes.box_hits).any(1)
        misses = np.stack((100.0 * (1 - outcomes.gt_class_hits), 100.0 * ~right), 1)[~left_out]  # (n, 2)
        yield _measured(method, testing, networks, spent, misses, above)
        above = misses


def _check(weights: Ladder, settings: Sequence[str], running: Running, records: Records) -> None:
    """Check all networks before the first row is measured, not hours later at the last."""
    words = by_role(settings)
    _check_named(weights, words)
    known = [(file, open_classifier(file, words.classifiers, running, "guess").classes) for file in weights.classifier]
    for kind, method, other, files, rcnns in (
        (PCRLocalizer, "pcr", "rpn", weights.pcr, ()),
        (Localizer, "rpn", "pcr", weights.rpn, weights.rcnn),
    ):
        if not files:
            continue
        own = settings if rcnns else without_rcnns(settings)
        opened = open_locators(LocWeights(files, rcnns, weights.classifier), own, running)
        for file, member in zip(files, opened.locators.members, strict=True):
            if not isinstance(member.model, kind):
                raise UsageError(f"--{method} {file}: is of the other method, which is named by --{other}")
        relabel(records, opened.classes, files[0])
        for file, classes in known:
            label_map(opened.classes, classes, files[0], file)


def _check_named(weights: Ladder, words: RoleSettings) -> None:
    """Make sure that every row has the networks that it wants, and every network a row."""
    if not weights.pcr and not weights.rpn:
        raise UsageError("--pcr and --rpn: name the weights of one localizer at least")
    check_roles(words, weights.rcnn, weights.classifier)
    if weights.pcr[1:]:
        raise UsageError(f"--pcr: the row of VGG's method has one network, got {len(weights.pcr)}")
    if not weights.rpn and (weights.rcnn or weights.classifier[1:]):
        raise UsageError("--rcnn, and several of --classifier: their rows have per-class RPNs in them (--rpn)")


def ladder_table(rows: Sequence[Measured]) -> str:
    """Several lines of text, without a last newline."""
    head = f"{'LOC method':<22}{'testing':<9}{'networks':<25}{'error, true class':<25}{'less than above':<26}"
    lines = [f"{head}{'top-5 error':<25}{'less than above':<26}{'ms/image':>8}"]
    for row in rows:
        one = _cell(row.gt_class_loc_error, row.gt_class_ci95)
        two = _cell(row.loc_top5_error, row.loc_top5_ci95)
        lines.append(
            f"{row.method:<22}{row.testing:<9}{row.networks:<25}{one:<25}{_gain(row.gt_class_gain):<26}"
            f"{two:<25}{_gain(row.loc_top5_gain):<26}{row.ms_per_image:8.1f}"
        )
    return "\n".join(lines)


def _measured(
    method: str,
    testing: str,
    networks: LocWeights,
    spent: float,
    misses: NDArray[np.float64],
    above: NDArray[np.float64] | None,
) -> Measured:
    error, (low, high) = misses.mean(0), mean_interval(misses)
    gains: list[tuple[float, float, float] | None] = [None, None]
    if above is not None:
        gain, between = (above - misses).mean(0), paired_interval(above, misses)
        gains = [(float(gain[i]), float(between[0, i]), float(between[1, i])) for i in (0, 1)]
    counts = [len(networks.localizers), len(networks.rcnns), len(networks.classifiers)]
    named = " + ".join(f"{n} {what}" for n, what in zip(counts, ("LOC", "R-CNN", "CLS"), strict=True) if n)
    true_class = (float(error[0]), (float(low[0]), float(high[0])), gains[0])
    top5 = (float(error[1]), (float(low[1]), float(high[1])), gains[1])
    return Measured(method, testing, named, len(misses), spent, *true_class, *top5)


def _cell(value: float, interval: tuple[float, float]) -> str:
    return f"{value:6.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"


def _gain(gain: tuple[float, float, float] | None) -> str:
    return "" if gain is None else f"{gain[0]:+6.2f} [{gain[1]:.2f}, {gain[2]:.2f}]"
