"""Images that are there twice, exactly or nearly, found without comparing each with each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

MOST_BITS = 3  # of 64 in which the outlines of nearly the same picture may differ
MOST_LEVELS = 6.0  # of 255, on the average over the sketch: what compressing again, or scaling, changes
BANDS = ((0, 11), (11, 22), (22, 33), (33, 44), (44, 54), (54, 64))  # bits; of six, three at least stay as they were
NEIGHBOURS = 64  # of one key that each outline is compared with: flat pictures have many of one key


def equal_groups(values: NDArray[np.uint64]) -> list[NDArray[np.int64]]:
    """The indices of equal numbers, for each number that is there more than once; in the order of the first."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(values[order]) != 0]) if len(values) else np.zeros(0, np.int64)
    groups = [group for group in np.split(order, starts[1:]) if len(group) > 1]
    return sorted(groups, key=lambda group: int(group[0]))


def near_groups(outlines: NDArray[np.uint64], sketches: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
    """The indices of pictures that are nearly the same, each picture in one group at most.

    Two are near where their outlines differ in up to :data:`MOST_BITS` bits and their sketches by up to
    :data:`MOST_LEVELS` levels.  Two that are near to a third are in one group, near to each other or not.

    Args:
        outlines: ``(N,)``, see :class:`resdet.audit.images.Seen`.
        sketches: ``(N, S)``.
    """
    leader = np.arange(len(outlines))  # of each picture's group: the first in it
    for a, b in _candidates(outlines):
        apart = leader[a] != leader[b]
        a, b = a[apart], b[apart]
        distance = np.abs(sketches[a].astype(np.int16) - sketches[b]).mean(1, dtype=np.float64)
        near = distance <= MOST_LEVELS
        if near.any():
            _unite(leader, a[near], b[near])
    return equal_groups(leader.astype(np.uint64))


def _unite(leader: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64]) -> None:
    """Merge the two groups of each pair.  Before and after, every picture points at the first one of its group."""

    def find(index: int) -> int:
        while (above := int(leader[index])) != index:
            index = above
        return index

    for pair in zip(a.tolist(), b.tolist(), strict=True):
        first, second = sorted(map(find, pair))
        leader[second] = first
    while (leader != (above := leader[leader])).any():
        leader[:] = above


def _candidates(outlines: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs whose outlines differ in few bits.

    Where two numbers of 64 bits differ in three, three of six bands at least are the same in both: sorted by each
    choice of three bands, 20 in all, the two stand together once.  Each is compared with the next ones of its key.
    Equal outlines stand in the same order each time: their pairs are given the first time only.
    """
    for place, bands in enumerate(combinations(BANDS, 3)):
        mask = np.uint64(sum(((1 << high) - (1 << low)) for low, high in bands))
        keys = outlines & mask
        order = np.lexsort((outlines, keys))
        keys, sorted_outlines = keys[order], outlines[order]
        for ahead in range(1, NEIGHBOURS + 1):
            same = np.flatnonzero(keys[ahead:] == keys[:-ahead])
            if not len(same):
                break
            differing = np.bitwise_count(sorted_outlines[same] ^ sorted_outlines[same + ahead])
            near = same[(differing <= MOST_BITS) & ((differing > 0) | (place == 0))]
            yield order[near], order[near + ahead]
