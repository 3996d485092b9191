"""Packed annotations: what goes in comes out, in memory that processes share and that stays small."""

import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resdet.data.records import Classes, Record, pack

CLASSES = Classes(("a", "b", "c"), ("A", "B", "C"))
ROWS = [
    Record("train/ä/x.JPEG", 2, [(0.0, 1.0, 2.0, 3.0), (4.0, 5.0, 6.5, 7.0)]),
    Record("y.png", -1),
    Record("z/z.tar.gz", 0, [(1.0, 1.0, 2.0, 2.0)], [1], [True], (640, 480), 17, [0.5]),
]


def same(record, row):
    labels = [row.label] * len(row.boxes) if row.box_labels is None else list(row.box_labels)
    flags = [False] * len(row.boxes) if row.box_ignored is None else list(row.box_ignored)
    areas = None if row.box_areas is None or not row.boxes else list(row.box_areas)
    return record == Record(row.path, row.label, list(row.boxes), labels, flags, row.size, row.number, areas)


def tensors(records):
    return [v for v in vars(records).values() if isinstance(v, torch.Tensor)]


def test_records_give_back_what_was_packed():
    records = pack(Path("root"), CLASSES, ROWS)
    assert len(records) == 3
    assert all(same(records[i], row) for i, row in enumerate(ROWS))
    assert same(records[-1], ROWS[-1])
    assert records.file(1) == Path("root/y.png")
    assert (records.name(0), records.name(2)) == ("x", "z.tar")
    assert records.names() == ["x", "y", "z.tar"]
    assert records.box_counts().tolist() == [2, 0, 1]


def test_a_target_has_the_image_class_and_each_boxs_own():
    target = pack(Path(), CLASSES, ROWS).target(2)
    assert (target.label, target.labels.tolist(), target.ignored.tolist()) == (0, [1], [True])
    empty = pack(Path(), CLASSES, ROWS).target(1)
    assert (empty.label, empty.boxes.shape, empty.labels.shape) == (-1, (0, 4), (0,))


@pytest.mark.parametrize("index", [3, -4])
def test_a_record_that_is_not_there_is_an_index_error(index):
    with pytest.raises(IndexError, match=f"record {index} of 3"):
        pack(Path(), CLASSES, ROWS)[index]


@pytest.mark.parametrize("labels", [[], [1], [1, 1, 1]])
def test_labels_that_do_not_match_the_boxes_are_refused(labels):
    with pytest.raises(ValueError, match=r"x\.jpg: 2 boxes"):
        pack(Path(), CLASSES, [Record("x.jpg", 0, [(0.0, 0.0, 1.0, 1.0)] * 2, labels)])


def test_flags_that_do_not_match_the_boxes_are_refused():
    with pytest.raises(ValueError, match=r"x\.jpg: 2 boxes came with flags"):
        pack(Path(), CLASSES, [Record("x.jpg", 0, [(0.0, 0.0, 1.0, 1.0)] * 2, None, [True])])
    with pytest.raises(ValueError, match=r"x\.jpg: 2 boxes came with areas"):
        pack(Path(), CLASSES, [Record("x.jpg", 0, [(0.0, 0.0, 1.0, 1.0)] * 2, box_areas=[1.0])])


def test_an_empty_set_and_a_set_without_boxes_are_records_too():
    nothing = pack(Path(), CLASSES, [])
    assert (len(nothing), nothing.boxes.shape, nothing.names()) == (0, (0, 4), [])
    assert len(nothing.select(torch.tensor([], dtype=torch.int64))) == 0
    boxless = pack(Path(), CLASSES, [Record("a", 0), Record("b", 1)])
    assert (boxless.boxes.shape, boxless.box_counts().tolist()) == ((0, 4), [0, 0])
    assert boxless.select(torch.tensor([1]))[0] == Record("b", 1, [], [], [])


def test_every_array_is_in_shared_memory_also_after_a_selection():
    records = pack(Path(), CLASSES, ROWS)
    for some in (records, records.select(torch.tensor([2, 0]))):
        assert len(tensors(some)) == 10
        assert all(t.is_shared() for t in tensors(some))


boxes = st.lists(st.tuples(*[st.floats(0, 512, width=32)] * 4), max_size=3)
areas = st.none() | st.just([2.5, 0.0, 7.0])
sides = st.tuples(st.integers(0, 5000), st.integers(0, 5000))
row = st.builds(
    Record,
    st.text("ab/ü", max_size=6),
    st.integers(-1, 2),
    boxes,
    st.none(),
    st.none(),
    sides,
    st.integers(-1, 9),
    areas,
).map(lambda row: row._replace(box_areas=row.box_areas and row.box_areas[: len(row.boxes)]))
rows = st.lists(row, min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(rows, st.data())
def test_a_selection_is_the_rows_themselves_in_the_order_asked_for(rows, data):
    indices = data.draw(st.lists(st.integers(-len(rows), len(rows) - 1), max_size=12))
    selected = pack(Path(), CLASSES, rows).select(torch.tensor(indices, dtype=torch.int64))
    assert len(selected) == len(indices)
    assert all(same(selected[k], rows[i]) for k, i in enumerate(indices))


@settings(max_examples=60, deadline=None)
@given(rows, st.data())
def test_boxes_of_other_classes_than_the_images_own_can_be_left_out(rows, data):
    labels = [[data.draw(st.integers(0, 2)) for _ in row.boxes] for row in rows]
    flags = [[data.draw(st.booleans()) for _ in row.boxes] for row in rows]
    rows = [row._replace(box_labels=of, box_ignored=is_) for row, of, is_ in zip(rows, labels, flags, strict=True)]
    records = pack(Path(), CLASSES, rows)
    found = records.with_own_boxes()
    assert all(t.is_shared() for t in tensors(found))
    for index, row in enumerate(rows):
        own = [i for i, label in enumerate(row.box_labels) if row.label in (label, -1)]
        kept = {
            name: None if getattr(row, name) is None else [getattr(row, name)[i] for i in own]
            for name in ("boxes", "box_labels", "box_ignored", "box_areas")
        }
        assert same(found[index], row._replace(**kept))
        assert found.have_objects()[index] == any(not row.box_ignored[i] for i in own)
    assert found.with_own_boxes() is found


def test_a_selection_larger_than_a_slab_is_whole(monkeypatch):
    monkeypatch.setattr("resdet.data.records.SELECTED_AT_ONCE", 2)
    selected = pack(Path(), CLASSES, ROWS).select(torch.tensor([2, 1, 0, 0, 2]))
    assert all(same(selected[k], ROWS[i]) for k, i in enumerate([2, 1, 0, 0, 2]))


def test_annotations_of_imagenet_cost_a_few_hundred_megabytes():
    count, imagenet = 20_000, 1_281_167  # linear in the images: measured on a part

    def rows():
        for i in range(count):
            box = (i % 100 + 0.5, 1.0, 300.0, 400.0)
            yield Record(f"Data/CLS-LOC/train/n{i % 1000:08d}/n{i % 1000:08d}_{i}.JPEG", i % 1000, [box])

    tracemalloc.start()
    records = pack(Path(), CLASSES, rows())
    packing = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    everything = records.select(torch.arange(count))
    selecting = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = sum(t.nbytes for t in tensors(records))
    assert sum(t.nbytes for t in tensors(everything)) == kept
    megabytes = imagenet / count / 1e6
    assert kept * megabytes < 150
    assert (kept + packing) * megabytes < 300  # while it is read: what is kept and what Python holds beside it
    assert selecting * megabytes < 10  # no Python object an image
