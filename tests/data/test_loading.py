"""Which image comes when, and that a training step's batch depends on the seed and its number alone."""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from resdet.config import AugmentConfig
from resdet.data.loading import TestImages, TrainingImages, collate, make_loader, test_loader, training_loader
from resdet.data.plan import Plan
from resdet.data.records import Classes, Record, pack
from resdet.data.viewed_images import ViewedImages, view_loader
from resdet.data.views import centre, whole
from resdet.errors import InputError

TestImages.__test__ = test_loader.__test__ = False  # pytest takes their names for tests
PLAN = Plan(images=10, batch_size=4, steps=12, seed=5, sizes=((0.0, 32),))


def indices(plan):
    return [[draw.index for draw in batch] for batch in plan]


def test_no_image_comes_twice_in_an_epoch_and_each_epoch_is_another_order():
    batches = indices(replace(PLAN, images=12))
    epochs = [[*chain(*batches[i : i + 3])] for i in range(0, 12, 3)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_what_does_not_fill_a_batch_waits_for_another_epoch():
    batches = indices(replace(PLAN, steps=60))
    assert PLAN.steps_per_epoch == 2
    assert all(len(set(batches[i] + batches[i + 1])) == 8 for i in range(0, 60, 2))
    assert set(chain(*batches)) == set(range(10))


def test_a_set_smaller_than_a_batch_is_one_step_an_epoch():
    plan = Plan(images=3, batch_size=4, steps=2, seed=5, sizes=((0.0, 32),))
    assert plan.steps_per_epoch == 1
    assert [sorted(batch) for batch in indices(plan)] == [[0, 1, 2]] * 2


@pytest.mark.parametrize("start", [0, 1, 2, 5, 12])
def test_a_plan_from_a_later_step_continues_exactly(start):
    later = replace(PLAN, start=start)
    assert list(later) == list(PLAN)[start:]
    assert len(later) == 12 - start


def test_processes_split_every_batch_without_overlap():
    parts = [list(replace(PLAN, rank=rank, processes=2)) for rank in range(2)]
    for batch, one, other in zip(PLAN, *parts, strict=True):
        assert sorted(one + other) == sorted(batch)
        assert len(one) == len(other) == 2


def test_each_draw_is_another_and_a_seed_makes_all_of_them():
    draws = [draw for batch in PLAN for draw in batch]
    assert len({draw.seed for draw in draws}) == len(draws)  # also the same image in another epoch
    assert list(PLAN) == list(replace(PLAN))
    assert not {d.seed for d in draws} & {d.seed for batch in replace(PLAN, seed=6) for d in batch}


def test_sizes_switch_at_their_epoch():
    plan = replace(PLAN, sizes=((0.0, 32), (1.5, 48), (4.0, 64)))  # 2 steps an epoch
    assert [batch[0].size for batch in plan] == [32] * 3 + [48] * 5 + [64] * 4
    assert [plan.size_at(step) for step in (0, 2, 3, 7, 8, 100)] == [32, 32, 48, 48, 64, 64]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Eight small photographs of noise, each with a box, of different sizes."""
    root = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(8):
        pixels = rng.integers(0, 256, (30 + i, 50 - i, 3), dtype=np.uint8)
        cv2.imwrite(str(root / f"{i}.png"), pixels)
        rows.append(Record(f"{i}.png", i % 2, [(5.0, 5.0, 25.0, 20.0 + i)]))
    return pack(root, Classes(("a", "b"), ("a", "b")), rows)


def same(one, other):
    assert (one.images == other.images).all()
    assert (one.indices, one.labels.tolist()) == (other.indices, other.labels.tolist())
    for a, b in zip(one.targets, other.targets, strict=True):
        assert torch.equal(a.boxes, b.boxes)
        assert torch.equal(a.labels, b.labels)
    return True


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4")  # a machine of fewer cores
def test_a_seed_gives_the_same_batches_however_many_workers_load_them(records):
    images = TrainingImages(records, AugmentConfig(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1))
    plan = Plan(8, 4, 5, 3, ((0.0, 32), (1.0, 40)))
    here = list(training_loader(images, plan, 0))
    assert [tuple(b.images.shape) for b in here] == [(4, 3, 32, 32)] * 2 + [(4, 3, 40, 40)] * 3
    for workers in (1, 4):
        there = list(training_loader(images, plan, workers))
        assert len(there) == 5
        assert all(same(a, b) for a, b in zip(here, there, strict=True))
    resumed = list(training_loader(images, replace(plan, start=3), 1))
    assert all(same(a, b) for a, b in zip(here[3:], resumed, strict=True))


def test_what_ran_before_does_not_show_in_a_draw(records):
    images = TrainingImages(records, AugmentConfig(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1))
    draws = [draw for batch in Plan(8, 4, 2, 3, ((0.0, 32),)) for draw in batch]
    forwards = [images[draw] for draw in draws]
    np.random.seed(1)
    torch.manual_seed(1)
    backwards = [images[draw] for draw in reversed(draws)][::-1]
    assert same(collate(forwards), collate(backwards))


class Marked:
    """Writes into the records of whichever process it is used in."""

    def __init__(self, records):
        self.records = records

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        self.records.labels[index] = 77
        return int(self.records.labels.is_shared())


def test_a_workers_annotations_are_the_same_memory_as_the_trainings(records):
    own = pack(records.root, records.classes, [records[i] for i in range(8)])
    assert [int(v) for v in DataLoader(Marked(own), batch_size=None, num_workers=1)] == [1] * 8
    assert own.labels.tolist() == [77] * 8


def test_a_batch_is_uint8_with_its_channels_last_in_memory(records):
    plan = replace(PLAN, images=8)
    batch = next(iter(training_loader(TrainingImages(records, AugmentConfig()), plan, 0)))
    assert (batch.images.dtype, tuple(batch.images.shape)) == (torch.uint8, (4, 3, 32, 32))
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.indices == tuple(draw.index for draw in next(iter(plan)))


@pytest.mark.gpu
def test_batches_for_a_gpu_are_pinned(records):
    batch = next(iter(training_loader(TrainingImages(records, AugmentConfig()), replace(PLAN, images=8), 0)))
    assert batch.images.is_pinned()
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert (batch.to("cuda").images.cpu() == batch.images).all()


def test_testing_sees_every_image_once_in_order(records):
    images = TestImages(records, resize=32, size=28)
    batches = list(test_loader(images, 3, 0))
    assert [b.indices for b in batches] == [(0, 1, 2), (3, 4, 5), (6, 7)]
    assert tuple(batches[0].images.shape) == (3, 3, 28, 28)
    view = centre(50, 30, 32, 28)
    x1, y1, x2, _ = view.window
    scale = 28 / (x2 - x1)
    expected = [(5 - x1) * scale, (5 - y1) * scale, (25 - x1) * scale, (20 - y1) * scale]
    assert batches[0].targets[0].boxes[0].tolist() == pytest.approx(expected, abs=1e-4)


def views(width, height):
    return [centre(width, height, 32, 28), whole(width, height, 32)]


def test_viewed_images_carry_the_image_size_and_one_picture_a_view(records):
    batches = list(view_loader(ViewedImages(records.file, 8, views), 5, 0))
    assert [len(batch) for batch in batches] == [5, 3]
    third = batches[0][2]
    assert (third.index, third.width, third.height) == (2, 48, 32)
    assert [p.shape for p in third.pixels] == [(28, 28, 3), (32, 48, 3)]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_that_is_no_workers_death_stays_what_it_is(workers):
    with pytest.raises(RuntimeError, match="out of ideas"):
        list(make_loader(Failing(), workers, batch_sampler=[[0]]))


class Failing:
    def __getitem__(self, index):
        raise RuntimeError("out of ideas")


def test_an_image_that_cannot_be_read_stops_or_is_told_as_asked(tmp_path, records):
    (tmp_path / "bad.jpg").write_text("no image")
    files = [records.file(0), tmp_path / "bad.jpg", Path("missing.jpg")]
    told = []
    for workers in (0, 1):
        with pytest.raises(InputError, match=r"bad\.jpg: wanted an image") as caught:
            list(view_loader(ViewedImages(files.__getitem__, 3, views), 2, workers))
        told.append(str(caught.value))
    assert told[0] == told[1]  # one line, and none of a worker's traceback
    skipped = [*chain(*view_loader(ViewedImages(files.__getitem__, 3, views, skip_bad=True), 2, 0))]
    assert [image.error is None for image in skipped] == [True, False, False]
    assert [len(image.views) for image in skipped] == [2, 0, 0]
    assert "missing.jpg" in skipped[2].error
