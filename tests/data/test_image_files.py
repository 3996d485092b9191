import glob
import os

import pytest
from on_disk import refuse

from resdet.data.image_files import ENDINGS, find_images, left_out, picture_names, row_ids
from resdet.errors import InputError, UsageError


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("x/b.jpg", "x/a.PNG", "x/deep/a.jpg", "x/notes.txt", "x/.hid.jpg", "x/.git/c.jpg", "y/a.jpg", "odd"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*words):
    return [image.name for image in find_images(words)]


def test_a_folder_gives_its_images_sorted_and_named_below_it(tree):
    assert [str(image.file) for image in find_images(["x"])] == ["x/a.PNG", "x/b.jpg", "x/deep/a.jpg"]
    assert names("x") == ["a.PNG", "b.jpg", "deep/a.jpg"]


def test_two_folders_keep_what_tells_them_apart(tree):
    assert names("y", "x") == ["y/a.jpg", "x/a.PNG", "x/b.jpg", "x/deep/a.jpg"]


def test_what_is_named_twice_is_taken_once(tree):
    assert names("x/deep/a.jpg", "x", str(tree / "x")) == ["deep/a.jpg", "a.PNG", "b.jpg"]


def test_a_file_that_is_named_needs_no_ending(tree):
    assert names("odd") == ["odd"]


def test_weights_among_images_are_a_slip_and_not_an_image(tree):
    (tree / "second.pt").write_bytes(b"")
    with pytest.raises(UsageError, match=r"second\.pt: weights where an image is wanted: .* a --weights of its own"):
        find_images([str(tree), str(tree / "second.pt")])


def test_globs_go_down_and_take_images_only(tree):
    assert names("x/*") == ["a.PNG", "b.jpg", "deep/a.jpg"]
    assert names("**/a.*") == ["x/a.PNG", "x/deep/a.jpg", "y/a.jpg"]
    assert names("*/b.jpg", "y/a.jpg") == ["x/b.jpg", "y/a.jpg"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tree):
    (tree / "[a].jpg").touch()
    assert names("[a].jpg") == ["[a].jpg"]


def test_links_are_followed_but_not_in_circles(tree):
    os.symlink(tree / "y", tree / "x" / "linked")
    os.symlink(tree / "x", tree / "x" / "deep" / "back")
    assert names("x") == ["a.PNG", "b.jpg", "deep/a.jpg", "linked/a.jpg"]


def test_globs_follow_links_but_not_in_circles(tree):
    os.symlink(tree / "x", tree / "x" / "deep" / "back")
    os.symlink(tree / "y", tree / "x" / "linked")
    for word in ("x/**/*.*", "x/**", "x/**/*", "x/**/**/*.*"):
        assert names(word) == ["a.PNG", "b.jpg", "deep/a.jpg", "linked/a.jpg"], word
    assert names("x/**/deep/*.jpg") == ["deep/a.jpg"]
    assert names("x/linked", "y") == ["x/linked/a.jpg"]


def test_a_folder_that_is_linked_to_is_called_by_its_own_name(tree):
    os.symlink(tree / "x" / "deep", tree / "x" / "another")
    assert names("x") == ["a.PNG", "b.jpg", "deep/a.jpg"]


def test_globs_find_what_pythons_own_finds(tree):
    (tree / "x" / ".hidden").mkdir()
    (tree / "x" / ".hidden" / "d.jpg").touch()
    for word in ("x/*.jpg", "*/?.jpg", "./x/[ab].*", "x/.h*/*.jpg", "x/.*.jpg", "**/deep/a.jpg", "*/../y/*.jpg", "**"):
        there = {os.path.realpath(name) for name in glob.glob(word, recursive=True) if name.lower().endswith(ENDINGS)}
        assert {os.path.realpath(image.file) for image in find_images([word])} == there, word
        absolute = f"{tree}/{word}"
        assert {os.path.realpath(image.file) for image in find_images([absolute])} == there, absolute


def test_an_unreadable_folder_is_named_and_not_left_out(tree, monkeypatch):
    refuse(monkeypatch, "deep")
    for word in ("x", "x/deep", "**/*.jpg", "x/*", "x/*/*.jpg", "x/**"):
        with pytest.raises(InputError, match=r"^x/deep: this folder cannot be read \(Permission denied\)"):
            find_images([word])
    assert names("x/*.jpg", "y") == ["x/b.jpg", "y/a.jpg"]  # it need not be looked into


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_really_unreadable_folder_is_named(tree):
    os.symlink(tree / "x" / "deep", tree / "y" / "linked")
    (tree / "x" / "deep").chmod(0)
    try:
        for word in ("x", "x/deep", "**/*.jpg", "x/*", "x/*/a.jpg"):
            with pytest.raises(InputError, match="x/deep: this folder cannot be read"):
                find_images([word])
        with pytest.raises(InputError, match="y/linked: this folder cannot be read"):
            find_images(["y"])
    finally:
        (tree / "x" / "deep").chmod(0o700)


def test_a_word_that_means_no_image_is_an_error(tree):
    (tree / "empty").mkdir()
    for word, said in (
        ("missing", "missing: no such file or folder"),
        ("empty", "empty: no images in this folder or below"),
        ("z*", r"z\*: matches nothing"),
        ("x/*.txt", r"x/\*.txt: matches 1 files, none of them an image"),
    ):
        with pytest.raises(InputError, match=said):
            find_images(["x", word])


def test_photographs_that_are_not_read_are_told_and_not_just_left_out(tree):
    for name in ("x/phone.HEIC", "x/deep/b.nef", "named.avif"):
        (tree / name).touch()
    assert [str(file) for file in left_out(["x", "named.avif", "x/a.PNG"])] == ["x/deep/b.nef", "x/phone.HEIC"]
    assert [str(file) for file in left_out(["**/*"])] == ["named.avif", "x/deep/b.nef", "x/phone.HEIC"]


def test_rows_are_named_by_stem_unless_two_share_one():
    assert row_ids(["x/b.jpg", "y/a.jpg"]) == ["b", "a"]
    assert row_ids(["x/a.jpg", "y/a.jpg"]) == ["x/a", "y/a"]
    assert row_ids(["a.jpg", "a.png"]) == ["a.jpg", "a.png"]


def test_pictures_never_share_a_name():
    assert picture_names(["a.JPEG", "x/a.png"]) == ["a.jpg", "x/a.jpg"]
    chosen = picture_names(["a.jpg", "a.png", "A.JPG", "a.png.jpg", "a.PNG"])
    assert chosen[:2] == ["a.jpg", "a.png.jpg"]
    assert len({name.lower() for name in chosen}) == 5
