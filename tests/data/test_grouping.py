"""Batches of like images: none is left out, none depends on what ran before."""

from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resdet.data.grouping import GroupedPlan, wide_images
from resdet.data.records import Classes, Record, pack
from resdet.errors import InputError

WIDE = torch.tensor([True, True, False, True, False, True, True, False, True, True])  # 7 wide, 3 tall
PLAN = GroupedPlan(WIDE, batch_size=4, steps=40, seed=5, sides=(600, 600))


def indices(plan):
    return [[draw.index for draw in batch] for batch in plan]


def test_every_batch_is_full_and_holds_images_of_one_group():
    for batch in indices(PLAN):
        assert len(batch) == 4
        assert len({bool(WIDE[i]) for i in batch}) == 1


def test_no_image_is_left_out_and_none_comes_twice_as_often():
    """Also the three tall ones, which do not fill a batch in one pass."""
    plan = replace(PLAN, steps=150)  # 60 passes
    times = Counter(chain(*indices(plan)))
    assert sorted(times) == list(range(10))
    assert min(times.values()) >= 59
    assert max(times.values()) <= 62  # a queue may be one pass ahead of the other


def test_without_groups_a_pass_is_a_permutation():
    plan = replace(PLAN, groups=torch.zeros(12, dtype=torch.bool), steps=12)
    batches = indices(plan)
    passes = [[*chain(*batches[i : i + 3])] for i in range(0, 12, 3)]
    assert all(sorted(one) == list(range(12)) for one in passes)
    assert len({tuple(one) for one in passes}) == 4


def test_the_first_batches_worked_by_hand():
    """The queues of the first pass, filled one image at a time."""
    order = torch.randperm(10, generator=torch.Generator().manual_seed(hash((5, 0)) & 0x7FFFFFFF)).tolist()
    queues, expected = {True: [], False: []}, []
    for index in order:
        queue = queues[bool(WIDE[index])]
        queue.append(index)
        if len(queue) == 4:
            expected.append(queue.copy())
            queue.clear()
    assert len(expected) == 1  # seven wide and three tall
    assert indices(PLAN)[:1] == expected
    assert (PLAN.steps_per_epoch, len(PLAN)) == (2, 40)
    assert replace(PLAN, batch_size=11).steps_per_epoch == 1


def queued(groups, batch_size, seed, steps):
    """The plan, one image at a time."""
    queues, batches, epoch = {}, [], 0
    while len(batches) < steps:
        draws = torch.Generator().manual_seed(hash((seed, epoch)) & 0x7FFFFFFF)
        for index in torch.randperm(len(groups), generator=draws).tolist():
            queue = queues.setdefault(groups[index], [])
            queue.append(index)
            if len(queue) == batch_size:
                batches.append(queue.copy())
                queue.clear()
        epoch += 1
    return batches[:steps]


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.integers(0, 2), min_size=1, max_size=25),
    batch_size=st.integers(1, 9),
    seed=st.integers(0, 3),
    start=st.integers(0, 30),
)
def test_a_plan_is_the_queues_filled_one_image_at_a_time_from_any_step_on(groups, batch_size, seed, start):
    plan = GroupedPlan(torch.tensor(groups), batch_size, 30, seed, (64, 64), start)
    assert indices(plan) == queued(groups, batch_size, seed, 30)[start:]
    assert len(plan) == 30 - start


def test_draws_of_a_later_start_are_the_same_to_the_seed():
    plan = replace(PLAN, sides=(400, 800))
    for start in (0, 1, 7, 40):
        assert list(replace(plan, start=start)) == list(plan)[start:]


def test_each_draw_is_another_and_a_seed_makes_all_of_them():
    draws = [draw for batch in PLAN for draw in batch]
    assert len({draw.seed for draw in draws}) == len(draws)
    assert list(PLAN) == list(replace(PLAN))
    assert not {d.seed for d in draws} & {d.seed for batch in replace(PLAN, seed=6) for d in batch}


def test_processes_split_every_batch_without_overlap():
    parts = [list(replace(PLAN, rank=rank, processes=2)) for rank in range(2)]
    for batch, one, other in zip(PLAN, *parts, strict=True):
        assert sorted(one + other) == sorted(batch)
        assert len(one) == len(other) == 2


def test_a_steps_images_have_one_side_of_the_range_both_ends_included():
    plan = replace(PLAN, sides=(10, 13), steps=200)
    sides = [{draw.size for draw in batch} for batch in plan]
    assert all(len(side) == 1 for side in sides)
    assert set(chain(*sides)) == {10, 11, 12, 13}
    assert [plan.size_at(step) for step in range(200)] == [side.pop() for side in sides]


def test_a_plan_of_no_images_is_refused():
    with pytest.raises(ValueError, match="one image at least"):
        replace(PLAN, groups=torch.zeros(0, dtype=torch.bool))


def test_what_annotations_do_not_say_of_sizes_is_read_from_the_files(tmp_path):
    cv2.imwrite(str(tmp_path / "tall.png"), np.zeros((30, 20, 3), np.uint8))
    rows = [
        Record("not there.jpg", -1, size=(500, 375)),
        Record("nor this.jpg", -1, size=(375, 500)),
        Record("square.jpg", -1, size=(64, 64)),
        Record("tall.png", -1),
    ]
    records = pack(tmp_path, Classes(("a",), ("a",)), rows)
    assert wide_images(records).tolist() == [True, False, True, False]
    assert records.sizes[3].tolist() == [0, 0]
    with pytest.raises(InputError, match=r"x\.jpg: not found"):
        wide_images(pack(Path("/no"), Classes((), ()), [Record("x.jpg", -1)]))
