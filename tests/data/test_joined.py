"""Sets that are one: their images, boxes and numbers side by side, or why they cannot be."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resdet.data.formats import open_records
from resdet.data.joined import join
from resdet.data.records import Classes, Record, Records, pack
from resdet.errors import InputError

CLASSES = Classes(("a", "b"), ("a", "b"))
ONE = pack(
    Path("/data/one"),
    CLASSES,
    [Record("x.jpg", -1, [(0.0, 1.0, 2.0, 3.0)], [1], [True], (5, 6), 7, [0.5]), Record("sub/y.jpg", 1)],
)
OTHER = pack(Path("/data/two/images"), CLASSES, [Record("x.jpg", -1, [(4.0, 5.0, 6.0, 7.0)], [0], number=8)])


def test_images_come_one_set_after_the_other_with_all_that_is_known_of_them():
    joined = join([ONE, OTHER])
    assert joined.root == Path("/data")
    assert joined.classes == CLASSES
    assert [joined[i] for i in range(3)] == [
        ONE[0]._replace(path="one/x.jpg"),
        ONE[1]._replace(path="one/sub/y.jpg"),
        OTHER[0]._replace(path="two/images/x.jpg"),
    ]
    assert joined.file(2) == OTHER.file(0)


def test_parts_of_one_folder_keep_their_paths():
    assert join([ONE, ONE]).path(3) == "sub/y.jpg"
    assert join([ONE, ONE]).root == ONE.root


def test_columns_are_joined_not_images_one_by_one(monkeypatch):
    """28 us an image: 70 s for two million."""
    monkeypatch.delattr(Records, "__getitem__")
    joined = join([ONE, OTHER])
    assert joined.paths() == ["one/x.jpg", "one/sub/y.jpg", "two/images/x.jpg"]
    assert joined.boxes.is_shared()
    assert joined.path_bytes.is_shared()


def test_outlines_that_one_set_does_not_know_stay_unknown():
    assert join([OTHER, ONE]).box_areas.tolist() == [-1.0, 0.5]
    assert join([OTHER, OTHER]).box_areas.tolist() == []


def test_numbers_that_two_images_share_are_none():
    assert join([ONE, OTHER]).numbers.tolist() == [7, -1, 8]
    assert join([ONE, ONE]).numbers.tolist() == [-1] * 4


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            Classes(("a", "c"), ("a", "c")),
            "/data/one and /data/two/images do not have the same classes .* 'b' is of one",
        ),
        (Classes(("b", "a"), ("b", "a")), "in another order"),
        (Classes(("a", "b"), ("a", "b"), (1, 2)), "or have other numbers"),
    ],
)
def test_other_classes_are_told(classes, message):
    with pytest.raises(InputError, match=message):
        join([ONE, pack(OTHER.root, classes, [])])


def test_sets_that_hold_their_images_themselves_are_told():
    held = replace(OTHER, pixels=torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    with pytest.raises(InputError, match="/data/two/images: holds its images itself"):
        join([ONE, held])
    assert join([held, held]).pixels.shape == (2, 32, 32, 3)


def test_a_spec_may_be_a_sum(tmp_path):
    for year, name in (("VOC2007", "cat"), ("VOC2012", "dog")):
        folder = tmp_path / "VOCdevkit" / year / "Annotations"
        folder.mkdir(parents=True)
        box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
        (folder / f"{name}.xml").write_text(f"<annotation><object><name>{name}</name>{box}</object></annotation>")
    kit = tmp_path / "VOCdevkit"
    records = open_records(f"voc:{kit / 'VOC2007'}:all + voc:{kit / 'VOC2012'}:all")
    assert records.root == kit
    assert [records.path(i) for i in range(2)] == ["VOC2007/JPEGImages/cat.jpg", "VOC2012/JPEGImages/dog.jpg"]
    assert [records.classes.names[i] for i in records.box_labels] == ["cat", "dog"]
    with pytest.raises(InputError, match="unknown format 'coc'"):
        open_records(f"voc:{kit / 'VOC2007'}:all + coc:x:y")
