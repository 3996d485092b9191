"""Whatever is done to an annotation file, it ends in records or in one line that names the file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resdet.data.formats import coco, ilsvrc_det, voc
from resdet.data.lists import det_wnids
from resdet.errors import InputError

EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
XML = b"""<?xml version="1.0"?>
<annotation><folder>f</folder><filename>a.jpg</filename><size><width>500</width><height>375</height></size>
<object><name>n02672831</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax>
</bndbox></object><object><name>n02691156</name><bndbox><xmax>7</xmax><xmin>5</xmin><ymin>2</ymin><ymax>9</ymax></bndbox>
</object></annotation>"""
COCO = {
    "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
    "images": [{"id": 7, "file_name": "a.jpg", "width": 60, "height": 40}, {"id": 9, "file_name": "b.jpg"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 18, "bbox": [1, 2, 3.5, 4], "area": 7.2, "iscrowd": 0},
        {"id": 2, "image_id": 9, "category_id": 1, "bbox": [0, 0, 60, 40], "segmentation": [[1, 2, 3, 4]]},
    ],
}
LIST = b"a 1\nb -1\nILSVRC2013_train/n1/n1_7 0\n\na\n"

bits = st.sampled_from(
    [b"<", b">", b"&", b"<!ENTITY x 'y'>", b"1e999", b"-", b"nan", b"\0", b"\xff", b"..", b"/", b"\n"]
)


@st.composite
def damaged(draw, original: bytes) -> bytes:
    """Bytes with up to four spans taken out, doubled, or replaced by something nasty."""
    text = original
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        put = draw(st.one_of(st.just(b""), st.just(text[start:end] * 2), bits, st.binary(max_size=6)))
        text = text[:start] + put + text[end:]
    return text


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([0, 1, 7, -1, 2**63, 10**400, 1e300, "", "../x", "\ud800"]),
    st.lists(st.integers(-1, 9), max_size=4),
    st.builds(dict),
)


@st.composite
def changed(draw, original: object) -> object:
    """Json with one to three of its values changed for another or left out."""
    content = json.loads(json.dumps(original))
    for _ in range(draw(st.integers(1, 3))):
        holder: object = content
        while True:
            keys = list(range(len(holder))) if isinstance(holder, list) else list(holder)
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(holder[key], dict | list) and draw(st.booleans()):
                holder = holder[key]
                continue
            if draw(st.integers(0, 3)):
                holder[key] = draw(scalars)
            else:
                del holder[key]
            break
    return content


def check(read, *args) -> bool:
    """Records whose every number can be used, or one line that names a file of the tree."""
    try:
        records = read(*args)
    except InputError as error:
        assert "\n" not in str(error)
        assert str(args[0].parent) in str(error)
        return False
    assert torch.isfinite(records.boxes).all()
    assert (records.boxes[:, 2:] >= records.boxes[:, :2]).all()
    assert ((records.boxes[:, 2:] > records.boxes[:, :2]).all(1) | records.box_ignored).all()
    assert ((records.box_labels >= 0) & (records.box_labels < len(records.classes))).all()
    assert len(records.box_labels) == records.box_counts().sum() == len(records.box_ignored)
    for index in range(len(records)):
        assert records.root in [records.file(index), *records.file(index).parents]
        assert ".." not in records.file(index).parts
        assert np.isfinite(records[index].size).all()
    return True


def write(root: Path, path: str, content: bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)


@EXAMPLES
@given(content=damaged(XML))
def test_an_xml_of_voc(tmp_path, content):
    write(tmp_path, "set/Annotations/a.xml", content)
    check(voc.read, tmp_path / "set", "all")


@EXAMPLES
@given(content=damaged(XML))
def test_an_xml_of_det(tmp_path, content):
    write(tmp_path, "set/Annotations/DET/val/a.xml", content)
    write(tmp_path, "set/ImageSets/DET/val.txt", b"a 1\n")
    check(ilsvrc_det.read, tmp_path / "set", "val")


@EXAMPLES
@given(content=damaged(LIST))
def test_a_list_of_voc(tmp_path, content):
    write(tmp_path, "set/Annotations/a.xml", XML)
    write(tmp_path, "set/ImageSets/Main/l.txt", content)
    check(voc.read, tmp_path / "set", "l")


@EXAMPLES
@given(content=damaged(LIST))
def test_a_list_of_det(tmp_path, content):
    for class_id in range(1, 201) if not (tmp_path / "set").exists() else ():
        write(tmp_path, f"set/ImageSets/DET/train_{class_id}.txt", b"")
    write(tmp_path, "set/Annotations/DET/train/a.xml", XML)
    write(tmp_path, "set/Annotations/DET/val/a.xml", XML)
    write(tmp_path, "set/ImageSets/DET/train_3.txt", content)
    write(tmp_path, "set/ImageSets/DET/val.txt", content)
    write(tmp_path, "set/ImageSets/DET/val1.txt", content)
    for split in ("train", "val", "val1"):
        check(ilsvrc_det.read, tmp_path / "set", split)


@EXAMPLES
@given(content=damaged(json.dumps(COCO).encode()))
def test_the_bytes_of_a_coco_file(tmp_path, content):
    write(tmp_path, "a.json", content)
    check(coco.read, tmp_path / "images", "a.json")


@EXAMPLES
@given(content=changed(COCO))
def test_the_values_of_a_coco_file(tmp_path, content):
    write(tmp_path, "a.json", json.dumps(content).encode())
    check(coco.read, tmp_path / "images", "a.json")


@pytest.mark.parametrize("depth", [100, 100_000])
def test_nested_elements_and_lists_of_any_depth(tmp_path, depth):
    write(
        tmp_path,
        "set/Annotations/a.xml",
        b"<annotation>" + b"<object>" * depth + b"</object>" * depth + b"</annotation>",
    )
    check(voc.read, tmp_path / "set", "all")
    write(tmp_path, "a.json", b'{"images": ' + b"[" * depth + b"]" * depth + b"}")
    assert not check(coco.read, tmp_path / "images", "a.json")


def test_the_undamaged_files_are_read(tmp_path):
    write(tmp_path, "set/Annotations/a.xml", XML)
    assert check(voc.read, tmp_path / "set", "all")
    write(tmp_path, "a.json", json.dumps(COCO).encode())
    assert check(coco.read, tmp_path / "images", "a.json")
    assert det_wnids()[0].encode() in XML
