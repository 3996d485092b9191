"""Class folders, beside torchvision's ImageFolder."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from on_disk import refuse
from torchvision.datasets import ImageFolder

from resdet.data.formats import open_records
from resdet.errors import InputError


def picture(file: Path, value: int = 0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), np.full((6, 8, 3), value, np.uint8))


@pytest.fixture
def tree(tmp_path) -> Path:
    names = [
        "dog/b.png",
        "dog/a.jpg",
        "dog/deep/er/c.JPG",
        "dog/deep/z.png",
        "cat/1.bmp",
        "Zebra/1.png",
        "dog/deep-2/a.png",
    ]
    for value, name in enumerate(names):
        picture(tmp_path / name, 10 * value)
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    (tmp_path / "labels.csv").write_text("no class")
    return tmp_path


def test_classes_and_images_are_torchvisions_in_its_order(tree):
    for i in range(20):
        picture(tree / "cat" / f"{7 * i % 20:02d}.png")
    records, theirs = open_records(f"folder:{tree}"), ImageFolder(str(tree))
    assert list(records.classes.ids) == theirs.classes == ["Zebra", "cat", "dog"]
    assert [(str(records.file(i)), int(records.labels[i])) for i in range(len(records))] == theirs.samples
    assert records[0].boxes == []
    image = records.open(1)
    assert (image.width, image.height) == (8, 6)


def test_a_split_is_a_folder_that_holds_the_class_folders(tree, tmp_path_factory):
    above = tmp_path_factory.mktemp("above")
    os.symlink(tree, above / "train")
    assert len(open_records(f"folder:{above}:train")) == 7
    assert open_records(f"folder:{above}:train").root == above / "train"


def test_hidden_folders_are_no_classes_and_hidden_files_no_images(tree):
    picture(tree / ".ipynb_checkpoints" / "a.png")
    picture(tree / "cat" / ".thumbs" / "a.png")
    picture(tree / "cat" / "._1.png")
    records = open_records(f"folder:{tree}")
    assert len(records.classes) == 3
    assert len(records) == 7


def test_a_link_that_leads_back_up_is_followed_once(tree):
    os.symlink(tree / "dog", tree / "dog" / "deep" / "back")
    assert len(open_records(f"folder:{tree}")) == 7


def test_a_folder_that_cannot_be_read_is_named_and_its_images_not_left_out(tree, monkeypatch):
    refuse(monkeypatch, "deep")
    with pytest.raises(InputError, match=r"dog/deep: this folder cannot be read \(Permission denied\)"):
        open_records(f"folder:{tree}")


def test_imagenets_folders_have_imagenets_names(tmp_path):
    for wnid in ("n01440764", "n02119789", "unknown"):
        picture(tmp_path / wnid / "a.png")
    classes = open_records(f"folder:{tmp_path}").classes
    assert classes.ids == ("n01440764", "n02119789", "unknown")
    assert classes.names == ("tench", "kit fox", "unknown")


def test_names_that_are_not_utf8_are_files_too(tmp_path):
    try:
        picture(tmp_path / "cat" / "a.png")
        os.rename(tmp_path / "cat" / "a.png", os.fsencode(tmp_path / "cat") + b"/caf\xe9.png")
    except OSError:
        pytest.skip("this disk takes UTF-8 only")
    records = open_records(f"folder:{tmp_path}")
    assert records.open(0).width == 8
    assert records.names() == [records.name(0)] == ["caf\udce9"]


def refused(spec, said):
    with pytest.raises(InputError, match=said) as caught:
        open_records(spec)
    assert "\n" not in str(caught.value)


def test_what_is_no_set_of_class_folders_is_refused(tree, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    refused(f"folder:{other}", "no class folders; wanted a folder of images for every class")
    refused(f"folder:{other}:val", "val: no such folder")
    (tree / "empty").mkdir()
    refused(f"folder:{tree}", r"empty: no images in this class folder; wanted files ending in \.bmp")
    (tree / "empty").rmdir()
    picture(tree / "stray.png")
    refused(f"folder:{tree}", r"stray\.png: of no class \(so of 1\): wanted the images in class folders")
    os.symlink(tree, other / "val")
    refused(f"folder:{other}", r"holds val, which are splits and no classes: folder:.*:val")
