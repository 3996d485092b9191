"""What results are called in tables, by number, and as pictures."""

from pathlib import Path

import pytest

from resdet.data.image_files import ImageFile
from resdet.errors import UsageError
from resdet.jobs.sources import Sources


def sources(*names):
    return Sources([ImageFile(Path("in", name), name) for name in names], Path("out"))


def test_images_are_numbered_by_the_alphabet_of_their_rows_not_by_their_order():
    of = sources("b.jpg", "a-1.jpg", "a.jpg")
    found = [of.next(i, None) for i in range(3)]
    assert [(source.row, source.number) for source in found] == [("b", 3), ("a-1", 2), ("a", 1)]
    assert [source.picture for source in found] == [Path("out/b.jpg"), Path("out/a-1.jpg"), Path("out/a.jpg")]


def test_with_a_video_numbers_go_on_from_result_to_result():
    of = sources("z.jpg", "clip.avi", "a.jpg")
    found = [of.next(0, None), of.next(1, 0), of.next(1, 1), of.next(2, None)]
    assert [source.number for source in found] == [1, 2, 3, 4]
    assert [source.row for source in found] == ["z", "clip#000000", "clip#000001", "a"]
    assert {source.picture for source in found[1:3]} == {Path("out/clip.mp4")}


def test_an_image_and_a_video_of_one_stem_are_told_apart():
    of = sources("a.jpg", "a.avi", "a.mp4")
    found = [of.next(0, None), of.next(1, 0), of.next(2, 0)]
    assert len({source.row for source in found}) == 3
    assert [source.picture.name for source in found] == ["a.jpg", "a.mp4", "a.mp4.mp4"]


def test_a_name_with_a_space_is_named():
    sources("a.jpg").check_one_word()
    with pytest.raises(UsageError, match=r"my photo\.jpg: VOC's files name images by one word"):
        sources("a.jpg", "my photo.jpg").check_one_word()
    with pytest.raises(UsageError, match=r"photo \.jpg: VOC's files name images by one word"):
        sources("a.jpg", "photo .jpg").check_one_word()
