"""FORMAT:ROOT:SPLIT, and what is said when it is wrong."""

from pathlib import Path

import pytest

from resdet.audit.sheets import open_sheets
from resdet.data.formats import open_records, split_spec
from resdet.data.image_files import find_images
from resdet.errors import InputError, UsageError
from resdet.eval.det import default_metric

SPECS = {
    "tiny-imagenet:/data/tiny:val": ("tiny-imagenet", "/data/tiny", "val"),
    "shapes:runs/demo/data": ("shapes", "runs/demo/data", ""),
    "shapes:": ("shapes", "", ""),
    "shapes": ("shapes", "", ""),
    "ilsvrc-loc:/a:b/c:val": ("ilsvrc-loc", "/a:b/c", "val"),
    r"ilsvrc-loc:C:\data\set:val": ("ilsvrc-loc", r"C:\data\set", "val"),
    "ilsvrc-loc:C:/data/set": ("ilsvrc-loc", "C:/data/set", ""),
    "coco:/images:/annotations/instances.json": ("coco", "/images", "/annotations/instances.json"),
    "coco:a:b/instances.json": ("coco", "a", "b/instances.json"),
    r"coco:C:\images:D:\annotations\a.json": ("coco", r"C:\images", r"D:\annotations\a.json"),
    "coco:/images:D:/annotations/a.json": ("coco", "/images", "D:/annotations/a.json"),
    r"coco:C:\images:a.json": ("coco", r"C:\images", "a.json"),
}


@pytest.mark.parametrize(("spec", "parts"), SPECS.items(), ids=SPECS.keys())
def test_spec_has_three_parts(spec, parts):
    assert split_spec(spec) == parts


def write_shapes(root: Path) -> None:
    for split, name in (("train", "ring/ring_1"), ("val", "shapes_val_00000001")):
        file = root / "Annotations/CLS-LOC" / split / f"{name}.xml"
        file.parent.mkdir(parents=True)
        box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
        file.write_text(f"<annotation><object><name>ring</name>{box}</object></annotation>")
    (root / "LOC_synset_mapping.txt").write_text("cross cross\nring ring\n")


def test_one_tree_is_read_as_shapes_and_as_ilsvrc_loc(tmp_path):
    write_shapes(tmp_path)
    for name in ("shapes", "ilsvrc-loc"):
        for split in ("train", "val"):
            records = open_records(f"{name}:{tmp_path}:{split}")
            assert records[0].label == 1
            assert records[0].boxes == [(1, 2, 4, 5)]


def test_home_folder_may_be_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_shapes(tmp_path / "set")
    assert len(open_records("shapes:~/set:val")) == 1


FAULTS = {
    "unknown format": ("tinyimagenet:/x:val", "unknown format 'tinyimagenet'; did you mean 'tiny-imagenet'?"),
    "unlike any": ("/data/imagenet", "unknown format '/data/imagenet'.*Known: .*ilsvrc-loc, shapes, tiny-imagenet"),
    "no root": ("shapes", "wanted FORMAT:ROOT:SPLIT, such as shapes:"),
    "missing": ("tiny-imagenet:/no/such:val", r"no folder /no/such; tiny-imagenet wants train/, val/, wnids\.txt"),
    "missing demo": ("shapes:/no/such:val", r"no folder /no/such; shapes wants .*datasets/make_shapes\.py"),
    "no split": ("shapes:{}", "wanted a split at the end, such as shapes:{}:val"),
    "unknown split": ("shapes:{}:test", "the splits train and val, got 'test'"),
    "another format": ("ilsvrc-loc:{}:val", "{}: wanted a folder with Data/CLS-LOC"),
}


@pytest.mark.parametrize(("spec", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_wrong_spec_is_one_line_that_says_what_to_do(tmp_path, spec, message):
    with pytest.raises(InputError, match=message.replace("{}", str(tmp_path))) as caught:
        open_records(spec.format(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", ["unknown format", "unlike any", "no root", "no split"])
def test_a_spec_of_another_form_is_the_commands_fault(tmp_path, fault):
    with pytest.raises(UsageError):
        open_records(FAULTS[fault][0].format(tmp_path))


def test_a_folder_of_one_letter_is_no_drive_where_the_file_is_there(tmp_path):
    assert split_spec(f"coco:a:{tmp_path}/a.json") == ("coco", f"a:{tmp_path}/a.json", "")
    (tmp_path / "a.json").write_text("{}")
    assert split_spec(f"coco:a:{tmp_path}/a.json") == ("coco", "a", f"{tmp_path}/a.json")


@pytest.mark.parametrize(("here", "root"), [("ILSVRC", "."), ("ILSVRC/ImageSets", ".."), ("ILSVRC/ImageSets", "../.")])
def test_what_lies_beside_a_root_is_found_from_within_it(tmp_path, monkeypatch, here, root):
    """Else the classes would get other numbers, and right answers count as wrong."""
    write_shapes(tmp_path / "ILSVRC")
    (tmp_path / "ILSVRC/ImageSets").mkdir()
    (tmp_path / "ILSVRC/LOC_synset_mapping.txt").rename(tmp_path / "LOC_synset_mapping.txt")
    monkeypatch.chdir(tmp_path / here)
    assert open_records(f"ilsvrc-loc:{root}:val").classes.ids == ("cross", "ring")


def test_cocos_file_beside_the_images_is_found_from_within_them(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    described = '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}'
    for folder in (tmp_path, tmp_path / "annotations"):
        (folder / "a.json").write_text(described)
        monkeypatch.chdir(tmp_path / "images")
        assert open_records("coco:.:a.json").classes.ids == ("cat",)
        (folder / "a.json").unlink()


@pytest.mark.parametrize("spec", ["voc:~nobody-of-this-name/set:all", "coco:a:~nobody-of-this-name/a.json"])
def test_a_home_of_nobody_is_no_folder(spec):
    with pytest.raises(InputError, match=r"no (folder|annotation file).*~nobody-of-this-name"):
        open_records(spec)
    with pytest.raises(InputError, match="~nobody-of-this-name"):
        open_sheets(spec)
    with pytest.raises(InputError, match="no such file or folder"):
        find_images(["~nobody-of-this-name/a.jpg"])
    assert default_metric(spec) in ("voc12", "coco")
