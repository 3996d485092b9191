"""Pairs found by sorting are all that comparing each with each finds, and flat pictures do not make it slow."""

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from resdet.audit import duplicates
from resdet.audit.duplicates import MOST_BITS, equal_groups, near_groups

numbers = st.integers(0, 2**64 - 1)
flips = st.lists(st.integers(0, 63), max_size=5)


def differing(a, b):
    return (int(a) ^ int(b)).bit_count()


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, flips), min_size=1, max_size=12), flips)
def test_every_pair_of_near_outlines_is_found(pairs, more):
    values = []
    for number, bits in pairs:
        values += [number, number ^ sum(1 << bit for bit in set(bits)), number ^ sum(1 << bit for bit in set(more))]
    found = set()
    for a, b in duplicates._candidates(np.array(values, np.uint64)):
        found |= {tuple(sorted(pair)) for pair in zip(a.tolist(), b.tolist(), strict=True)}
    wanted = {(i, j) for j in range(len(values)) for i in range(j) if differing(values[i], values[j]) <= MOST_BITS}
    assert found == wanted


def test_near_by_way_of_others_is_one_group_and_each_picture_is_in_one_at_most():
    outlines = np.array([0, 0b111, 0b111111, 2**40, 2**63], np.uint64)
    sketches = np.zeros((5, 216), np.uint8)
    sketches[3] = 200  # near by its outline, not by its colours
    assert [group.tolist() for group in near_groups(outlines, sketches)] == [[0, 1, 2, 4]]
    sketches[4] = 200
    assert [group.tolist() for group in near_groups(outlines, sketches)] == [[0, 1, 2], [3, 4]]


def test_a_chain_of_near_pictures_is_one_group_in_whatever_order_they_lie():
    for order in permutations([0, 0b111, 0b111 << 30, 0b111 << 30 | 0b111 << 60]):
        outlines = np.array(order, np.uint64)
        assert [group.tolist() for group in near_groups(outlines, np.zeros((4, 216), np.uint8))] == [[0, 1, 2, 3]]


def test_thousands_of_flat_pictures_are_one_group_without_comparing_each_with_each():
    outlines, sketches = np.zeros(5000, np.uint64), np.zeros((5000, 216), np.uint8)
    compared = sum(len(a) for a, _ in duplicates._candidates(outlines))
    assert compared <= len(outlines) * duplicates.NEIGHBOURS * 20
    assert [len(group) for group in near_groups(outlines, sketches)] == [5000]


def test_pictures_of_one_outline_are_compared_once_not_once_for_each_choice_of_bands():
    pairs = [pair for a, b in duplicates._candidates(np.zeros(300, np.uint64)) for pair in zip(a, b, strict=True)]
    assert len(pairs) == len(set(pairs)) == sum(300 - ahead for ahead in range(1, duplicates.NEIGHBOURS + 1))


def test_equal_numbers_are_grouped_in_the_order_of_their_first():
    groups = equal_groups(np.array([7, 3, 7, 9, 3, 7, 2**64 - 1], np.uint64))
    assert [group.tolist() for group in groups] == [[0, 2, 5], [1, 4]]
    assert equal_groups(np.zeros(0, np.uint64)) == []
    assert near_groups(np.zeros(0, np.uint64), np.zeros((0, 216), np.uint8)) == []
