"""``tools/check_data.py``'s work: data sets checked image by image, and compared with each other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resdet.audit.anchors import Anchors, anchors_of_det, anchors_of_loc, recall
from resdet.audit.check import Checked, check_images
from resdet.audit.compare import compare
from resdet.audit.findings import KINDS, Finding
from resdet.audit.sheets import open_sheets
from resdet.config import ClsConfig, DetConfig, LocConfig, load_config
from resdet.data.formats import SUM, split_spec
from resdet.errors import InputError, UsageError
from resdet.jobs.data_sets import open_data_set

OF_ONE_OBJECT = ("ilsvrc-loc", "shapes", "tiny-imagenet")  # formats that localizers learn from
Follow = Callable[[Iterable[None], int | None, str], Iterable[None]]  # items, how many if known, and of what


@dataclass(frozen=True)
class Audit:
    """What was found in all sets together."""

    checked: tuple[Checked, ...]
    findings: tuple[Finding, ...]
    anchors: tuple[dict[str, object], ...]  # of each set, see resdet.audit.anchors.recall
    images: int
    seconds: float  # that going through the images and comparing them took

    def counts(self) -> dict[str, int]:
        """How many findings there are of each kind that there is."""
        counted = Counter(finding.kind for finding in self.findings)
        return {kind: counted[kind] for kind in KINDS if counted[kind]}


def audit(specs: Sequence[str], config: Path | None, ignored: Sequence[str], follow: Follow) -> Audit:
    """Check every set and compare them.

    Args:
        config: of a detector or a localizer, whose anchors are tried; None: the defaults of what the format is for.
        ignored: kinds of findings that are not wanted.

    Raises:
        UsageError: an unknown kind, or a config that is of neither.
    """
    for kind in ignored:
        if kind not in KINDS:
            raise UsageError(f"--ignore: unknown kind {kind!r}, wanted some of {', '.join(KINDS)}")
    sums = [[part.strip() for part in spec.split(SUM)] for spec in specs]
    parts = [part for each in sums for part in each]
    of_sum = [number for number, each in enumerate(sums) for _ in each]
    anchors = [_anchors(part, config) for part in parts]
    began = time.monotonic()
    checked = tuple(_check(part, follow) for part in parts)
    findings = [finding for one in checked for finding in one.findings] + list(compare(checked, of_sum))
    seconds = time.monotonic() - began
    recalls = tuple(_recall(one, each) for one, each in zip(checked, anchors, strict=True))
    kept = tuple(finding for finding in findings if finding.kind not in ignored)
    return Audit(checked, kept, recalls, sum(one.image_count for one in checked), seconds)


def _check(spec: str, follow: Follow) -> Checked:
    try:
        opened = open_sheets(spec)
    except InputError as error:
        return _refused(Checked(spec, None), error)
    found = Checked(spec, opened)
    for _ in follow(check_images(found), opened.count, spec):
        pass
    try:
        classes = open_data_set(spec).classes
    except InputError as error:  # the first fault that it met: found here too, or one between annotations
        return _refused(found, error)
    used = found.images | found.boxes
    found.unused += [id_ for id_, name in zip(classes.ids, classes.names, strict=True) if not {id_, name} & used.keys()]
    return found


def _refused(found: Checked, error: InputError) -> Checked:
    if isinstance(error, UsageError):
        raise error
    text = str(error)
    if not any(text.startswith(f"{finding.place}:") or finding.text.startswith(text) for finding in found.findings):
        found.add("refused", found.spec, text)
    return found


def _anchors(spec: str, config: Path | None) -> Anchors | None:
    """The anchors to be tried on a set; None where its networks have none."""
    if config is None or _names_no_anchors(config):
        note = f" ({config} names none)" if config else ""
        if split_spec(spec)[0] in OF_ONE_OBJECT:
            return anchors_of_loc(LocConfig(), f"localization's defaults{note}")
        return anchors_of_det(DetConfig(), f"detection's defaults{note}")
    try:
        return anchors_of_det(load_config(DetConfig, config), str(config))
    except UsageError as of_det:
        try:
            localizer = load_config(LocConfig, config)
        except UsageError as of_loc:
            raise UsageError(f"no detector's config ({of_det}) and no localizer's ({of_loc})") from None
    return anchors_of_loc(localizer, str(config)) if localizer.model.method == "rpn" else None


def _names_no_anchors(config: Path) -> bool:
    """Whether it could be a classifier's: what it sets is then what networks of all kinds have."""
    try:
        load_config(ClsConfig, config)
    except UsageError:
        return False
    return True


def _recall(found: Checked, anchors: Anchors | None) -> dict[str, object]:
    usable = np.frombuffer(found.usable).reshape(-1, 6) if found.usable else np.zeros((0, 6))
    return {} if anchors is None or not len(usable) else recall(anchors, usable[:, :4], usable[:, 4:])
