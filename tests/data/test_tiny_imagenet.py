"""Tiny-ImageNet: a tree made by hand, and the counts of the real one."""

from pathlib import Path

import pytest
from on_disk import put

from resdet.data.formats.tiny_imagenet import read
from resdet.data.image import image_size
from resdet.errors import InputError


@pytest.fixture
def tree(tmp_path) -> Path:
    put(tmp_path, "wnids.txt", "n2\nn1\n")  # the file's order counts, it is not sorted
    put(tmp_path, "words.txt", "n0\tentity\nn1\tgoldfish, Carassius auratus\nn2\tEgyptian cat\n")
    for wnid in ("n1", "n2"):
        put(tmp_path, f"train/{wnid}/{wnid}_boxes.txt", f"{wnid}_0.JPEG\t0\t10\t63\t58\n{wnid}_1.JPEG\t14\t2\t54\t2\n")
        put(tmp_path, f"train/{wnid}/images/{wnid}_0.JPEG")
    put(tmp_path, "train/n2/images/n2_1.JPEG")
    put(tmp_path, "val/val_annotations.txt", "val_0.JPEG\tn1\t0\t32\t44\t62\nval_1.JPEG\tn2\t5\t5\t5\t5\n")
    put(tmp_path, "val/images/val_0.JPEG")
    put(tmp_path, "val/images/val_1.JPEG")
    return tmp_path


def rows(records) -> list[tuple]:
    return [(records.path(i), records[i].label, records[i].boxes) for i in range(len(records))]


def test_val_boxes_are_inclusive_pixels(tree):
    records = read(tree, "val")
    assert rows(records) == [
        ("val/images/val_0.JPEG", 1, [(0, 32, 45, 63)]),
        ("val/images/val_1.JPEG", 0, [(5, 5, 6, 6)]),
    ]
    assert records.classes.ids == ("n2", "n1")
    assert records.classes.names == ("Egyptian cat", "goldfish")
    assert all(records.file(i).is_file() for i in range(2))


def test_annotations_are_enough_where_there_is_not_one_image(tree):
    for file in tree.rglob("*.JPEG"):
        file.unlink()
    assert [(path, label) for path, label, _ in rows(read(tree, "train"))] == [
        ("train/n2/images/n2_0.JPEG", 0),
        ("train/n2/images/n2_1.JPEG", 0),
        ("train/n1/images/n1_0.JPEG", 1),
        ("train/n1/images/n1_1.JPEG", 1),
    ]
    assert len(read(tree, "val")) == 2


def test_names_may_lack(tree):
    (tree / "words.txt").unlink()
    assert read(tree, "val").classes.names == ("n2", "n1")


def test_train_leaves_out_images_that_are_not_there(tree):
    assert rows(read(tree, "train")) == [
        ("train/n2/images/n2_0.JPEG", 0, [(0, 10, 64, 59)]),
        ("train/n2/images/n2_1.JPEG", 0, [(14, 2, 55, 3)]),
        ("train/n1/images/n1_0.JPEG", 1, [(0, 10, 64, 59)]),
    ]


def test_val_is_read_without_a_single_image(tree):
    for file in (tree / "val/images").iterdir():
        file.unlink()
    assert len(read(tree, "val")) == 2


FAULTS = {
    "a word short": ("val_0.JPEG\tn1\t0\t32\t44", "wanted 'name class x1 y1 x2 y2', got"),
    "one word": ("val_0.JPEG", "wanted 'name class x1 y1 x2 y2', got 'val_0.JPEG'"),
    "no number": ("val_0.JPEG\tn1\t0\t32\t44\tz", "ymax: wanted a number, got 'z'"),
    "not a number": ("val_0.JPEG\tn1\tnan\t32\t44\t62", "xmin: wanted a finite number, got 'nan'"),
    "upside down": ("val_0.JPEG\tn1\t0\t32\t44\t31", "upside down: ymax 31 is less than ymin 32"),
    "class": ("val_0.JPEG\tn3\t0\t32\t44\t62", "class 'n3' is not in wnids.txt"),
}


@pytest.mark.parametrize(("line", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_wrong_line_is_named(tree, line, message):
    put(tree, "val/val_annotations.txt", f"val_1.JPEG\tn2\t5\t5\t5\t5\n{line}\n")
    with pytest.raises(InputError, match=r"val_annotations\.txt:2: ") as caught:
        read(tree, "val")
    assert message in str(caught.value)


def test_a_wrong_train_line_is_named(tree):
    put(tree, "train/n1/n1_boxes.txt", "\nn1_0.JPEG\t0\t10\t63\t58\nn1_1.JPEG 0 10\n")
    with pytest.raises(InputError, match=r"n1_boxes\.txt:3: wanted 'name x1 y1 x2 y2'"):
        read(tree, "train")


def test_missing_files_and_splits_are_told(tree):
    with pytest.raises(InputError, match="the splits train and val, got 'test'"):
        read(tree, "test")
    (tree / "wnids.txt").unlink()
    with pytest.raises(InputError, match=r"wnids\.txt: not found; tiny-imagenet wants"):
        read(tree, "val")


def test_a_class_listed_twice_is_told(tree):
    put(tree, "wnids.txt", "n2\nn1\nn2\n")
    with pytest.raises(InputError, match=r"wnids\.txt:3: class 'n2' is listed twice"):
        read(tree, "val")


def test_real_val_has_5000_images_of_200_classes_each_with_one_box(data_root):
    records = read(data_root / "tiny-imagenet-200", "val")
    assert len(records) == 5000
    assert len(records.classes) == 200
    assert records.box_counts().tolist() == [1] * 5000
    assert records.boxes.min() >= 0
    assert records.boxes.max() == 64
    assert image_size(records.file(0)) == (64, 64)


def test_real_train_has_79955_images(data_root):
    records = read(data_root / "tiny-imagenet-200", "train")
    assert len(records) == 79955
    assert records.labels.unique().tolist() == list(range(200))
