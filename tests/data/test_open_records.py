"""FORMAT:ROOT:SPLIT, and what is said when it is wrong."""

from pathlib import Path

import pytest

from resdet.data.formats import open_records, split_spec
from resdet.errors import InputError

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
