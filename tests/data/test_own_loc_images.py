"""Images of one's own in the layout of CLS-LOC: which files are images, and which annotation is whose."""

import pytest
from on_disk import put

from resdet.data.formats.ilsvrc_loc import read
from resdet.errors import InputError

CAT = (
    "<annotation><object><name>cat</name>"
    "<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)


@pytest.mark.parametrize("ending", [".webp", ".TIF", ".gif", ".bmp"])
def test_an_image_may_have_any_ending_that_is_read(tmp_path, ending):
    put(tmp_path, f"Data/CLS-LOC/train/cat/1{ending}")
    put(tmp_path, f"Data/CLS-LOC/val/1{ending}")
    put(tmp_path, "Annotations/CLS-LOC/val/1.xml", CAT)
    assert [read(tmp_path, "train")[0].path] == [f"Data/CLS-LOC/train/cat/1{ending}"]
    val = read(tmp_path, "val")
    assert [val[0].path, val[0].label] == [f"Data/CLS-LOC/val/1{ending}", 0]


@pytest.mark.parametrize(
    ("split", "one", "other"),
    [("train", "cat/1.jpg", "cat/1.png"), ("val", "1.jpg", "1.png"), ("val", "cat/1.jpg", "dog/1.jpg")],
)
def test_two_images_for_one_annotation_are_named(tmp_path, split, one, other):
    for name in (one, other):
        put(tmp_path, f"Data/CLS-LOC/{split}/{name}")
    with pytest.raises(InputError, match=f"CLS-LOC/{split}: {one} and {other}: wanted names that differ"):
        read(tmp_path, split)
