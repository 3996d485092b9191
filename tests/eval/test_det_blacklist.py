from pathlib import Path

import pytest

from resdet.data.lists import det_blacklist, det_names, det_wnids
from resdet.data.records import Classes, Record, pack
from resdet.errors import InputError
from resdet.eval.det_blacklist import OFFICIAL_IMAGES, left_out

DET = Classes(det_wnids(), det_names(), tuple(range(1, 201)))


def val(images, first=1, year=2012):
    rows = (Record(f"Data/DET/val/ILSVRC{year}_val_{n:08d}.JPEG", -1, number=n) for n in range(first, first + images))
    return pack(Path("set"), DET, rows)


def test_the_whole_official_val_set_has_the_official_list():
    pairs = left_out(val(OFFICIAL_IMAGES))
    assert len(pairs) == 409
    named = {(image + 1, DET.ids[label]) for image, label in pairs.tolist()}
    assert named == det_blacklist()
    assert len(left_out(val(OFFICIAL_IMAGES), "none")) == 0


def test_another_set_has_none():
    for records in (val(100), val(OFFICIAL_IMAGES, first=2), val(OFFICIAL_IMAGES - 1)):
        assert left_out(records).shape == (0, 2)


def test_a_file_names_images_by_number_and_classes_by_wnid(tmp_path):
    records = val(3, first=11)
    (tmp_path / "b.txt").write_text(f"13 {DET.ids[7]}\n\n11 {DET.ids[0]}\n")
    assert left_out(records, str(tmp_path / "b.txt")).tolist() == [[0, 0], [2, 7]]


def test_a_mark_before_the_first_number_is_no_part_of_it(tmp_path):
    (tmp_path / "b.txt").write_text(f"13 {DET.ids[7]}\n", encoding="utf-8-sig")
    assert left_out(val(3, first=11), str(tmp_path / "b.txt")).tolist() == [[2, 7]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("11\n", r"b\.txt:1: wanted 'image_index wnid', got '11'"),
        ("11 n02672831\nx n02672831\n", r"b\.txt:2: wanted 'image_index wnid'"),
        (f"{'9' * 5000} n02672831\n", r"b\.txt:1: wanted 'image_index wnid'"),
        ("5 n02672831\n", r"b\.txt:1: image 5 is none of the data set's 3"),
        ("11 n00000000\n", r"b\.txt:1: class 'n00000000' is none of the data set's 200"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, text, message):
    (tmp_path / "b.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        left_out(val(3, first=11), str(tmp_path / "b.txt"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.txt: cannot be read as a blacklist"):
        left_out(val(3), str(tmp_path / "gone.txt"))
