from pathlib import Path

import numpy as np
import pytest

from resdet.data.lists import clsloc_blacklist
from resdet.data.records import Classes, Record, pack
from resdet.errors import InputError
from resdet.eval.blacklist import blacklisted


def records_named(names):
    return pack(Path("set"), Classes(("a",), ("a",)), [Record(f"val/{name}.JPEG", 0) for name in names])


def official(numbers):
    return records_named(f"ILSVRC2012_val_{number:08d}" for number in numbers)


def test_the_whole_official_set_leaves_out_its_1762_images_in_whatever_order():
    numbers = np.random.default_rng(0).permutation(np.arange(1, 50_001))
    left_out = blacklisted(official(numbers), None)
    assert set(numbers[left_out].tolist()) == clsloc_blacklist()
    assert (~left_out).sum() == 48_238


def test_a_part_of_the_official_set_and_any_other_set_leave_out_none():
    assert not blacklisted(official(range(1, 101)), None).any()
    assert not blacklisted(records_named(["36", "50"]), None).any()


def test_none_leaves_out_none_of_the_official_set():
    assert not blacklisted(official(range(1, 50_001)), "none").any()


def test_a_file_counts_official_images_by_the_number_in_their_name(tmp_path):
    (tmp_path / "list.txt").write_text("7\n  36 \n\n \t\n49981\n")
    assert blacklisted(official([36, 6, 7]), str(tmp_path / "list.txt")).tolist() == [True, False, True]


def test_a_file_counts_other_images_in_alphabetical_order(tmp_path):
    (tmp_path / "list.txt").write_text("1\n3\n")
    assert blacklisted(records_named(["c", "a", "b"]), str(tmp_path / "list.txt")).tolist() == [True, True, False]


def test_a_mark_before_the_first_number_is_no_part_of_it(tmp_path):
    (tmp_path / "list.txt").write_text("1\n3\n", encoding="utf-8-sig")
    assert blacklisted(records_named(["c", "a", "b"]), str(tmp_path / "list.txt")).tolist() == [True, True, False]


def test_a_list_of_all_images_is_refused_before_they_are_looked_at(tmp_path):
    (tmp_path / "list.txt").write_text("1\n2\n3\n")
    with pytest.raises(InputError, match="all 3 images are blacklisted"):
        blacklisted(records_named(["c", "a", "b"]), str(tmp_path / "list.txt"))


@pytest.mark.parametrize("line", ["0", "4", "46 n00007846", "cat", "-1", "1.5"])
def test_a_line_that_is_no_images_number_is_named(tmp_path, line):
    (tmp_path / "list.txt").write_text(f"1\n{line}\n")
    with pytest.raises(InputError, match=rf"list.txt:2: wanted the number of an image, 1 \.\. 3, got '{line}'"):
        blacklisted(records_named(["a", "b", "c"]), str(tmp_path / "list.txt"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.txt: cannot be read as a blacklist"):
        blacklisted(records_named(["a"]), str(tmp_path / "nowhere.txt"))
