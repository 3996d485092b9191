"""Images that several sets share, or one set has twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from resdet.audit.check import Checked
from resdet.audit.duplicates import equal_groups, near_groups
from resdet.audit.findings import Finding
from resdet.audit.images import SKETCH

NAMED = 5  # of a group's other images, in a finding's text


def compare(found: Sequence[Checked], sums: Sequence[int]) -> Iterator[Finding]:
    """One finding for each group of images that are the same, and for each that are nearly so.

    Args:
        sums: of each split, the number of the set that it is a part of: what two parts share is there twice, no leak.
    """
    files = [file for one in found for file in one.files]
    labels = [label for one in found for label in one.labels]
    splits = [number for number, one in zip(sums, found, strict=True) for _ in one.files]
    digests = _joined([one.digests for one in found])
    if not files:
        return

    def finding(group: NDArray[np.int64], within: str, between: str, how: str) -> Finding:
        first, *others = group.tolist()
        kind = within if len({splits[i] for i in group}) == 1 else between
        named = ", ".join(files[i] for i in others[:NAMED]) + (f" and {len(others) - NAMED}" * (len(others) > NAMED))
        classes = list(dict.fromkeys(labels[i] for i in group if labels[i]))
        under = f"; their classes: {', '.join(classes[:NAMED])}" if len(classes) > 1 else ""
        return Finding(kind, files[first], f"{how} {named}{under}", files[first])

    exact = equal_groups(digests)
    yield from (finding(group, "duplicate", "leak", "the same file as") for group in exact)
    alone = np.ones(len(files), dtype=bool)  # one of each file is compared with the rest
    for group in exact:
        alone[group[1:]] = False
    kept = np.flatnonzero(alone)
    sketches = np.frombuffer(b"".join(one.sketches for one in found), np.uint8).reshape(-1, int(np.prod(SKETCH)))
    near = near_groups(_joined([one.outlines for one in found])[kept], sketches[kept])
    yield from (finding(kept[group], "near-duplicate", "near-leak", "nearly the same as") for group in near)


def _joined(parts: Sequence[Sequence[int]]) -> NDArray[np.uint64]:
    return np.fromiter(chain.from_iterable(parts), np.uint64)
