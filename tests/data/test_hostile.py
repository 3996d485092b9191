"""Files made to do harm: names that lead out of the data set, sizes that fill the memory, formats that run programs."""

import json
import re
import struct
import zlib

import pytest
from PIL import Image

from resdet.data.formats import coco, coco_json, ilsvrc_det, ilsvrc_loc, tiny_imagenet, voc, voc_xml
from resdet.data.image import MAX_PIXELS, image_size, load_image
from resdet.data.stored_image import open_image
from resdet.errors import InputError

OUTSIDE = ("../secret", "/etc/passwd", "a/../../secret", "..\\secret", "C:\\secret", "a\0b", "//host/share/a")
BOX = "<object><name>n01440764</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object>"


def write(root, **files):
    for name, content in files.items():
        file = root / name.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def of_tiny_imagenet(root, name):
    write(root, wnids_DOT_txt="n1\n", words_DOT_txt="", val__val_annotations_DOT_txt=f"{name} n1 0 0 1 1\n")
    return tiny_imagenet.read(root, "val")


def of_tiny_imagenet_train(root, name):
    write(root, wnids_DOT_txt="n1\n", words_DOT_txt="", train__n1__n1_boxes_DOT_txt=f"{name} 0 0 1 1\n")
    return tiny_imagenet.read(root, "train")


def of_tiny_imagenet_classes(root, name):
    write(root, wnids_DOT_txt=f"{name}\n", words_DOT_txt="")
    return tiny_imagenet.read(root, "train")


def of_loc(root, name):
    (root / "Data/CLS-LOC").mkdir(parents=True)
    (root / "ImageSets/CLS-LOC").mkdir(parents=True)
    (root / "ImageSets/CLS-LOC/test.txt").write_text(f"{name} 1\n")
    return ilsvrc_loc.read(root, "test")


def of_det(root, name):
    (root / "Annotations/DET/val").mkdir(parents=True)
    (root / "ImageSets/DET").mkdir(parents=True)
    (root / "ImageSets/DET/val.txt").write_text(f"{name} 1\n")
    return ilsvrc_det.read(root, "val")


def of_voc(root, name):
    write(root, Annotations__a_DOT_xml="<annotation/>", ImageSets__Main__l_DOT_txt=f"{name}\n")
    return voc.read(root, "l")


def of_coco(root, name):
    write(root, a_DOT_json=json.dumps({"categories": [], "images": [{"id": 1, "file_name": name}]}))
    return coco.read(root, "a.json")


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize(
    "read", [of_tiny_imagenet, of_tiny_imagenet_train, of_tiny_imagenet_classes, of_loc, of_det, of_voc, of_coco]
)
def test_no_file_outside_of_the_data_set_is_named(tmp_path, read, name):
    with pytest.raises(InputError, match=r"within the data set|no file can be named") as told:
        read(tmp_path, name)
    assert str(tmp_path) in str(told.value)
    assert "\0" not in str(told.value)


def test_an_xml_names_its_image_by_the_last_part_alone(tmp_path):
    write(tmp_path, Annotations__a_DOT_xml=f"<annotation><filename>../../../etc/passwd</filename>{BOX}</annotation>")
    assert voc.read(tmp_path, "all").file(0) == tmp_path / "JPEGImages/a.jpg"


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY x "&b;&b;&b;&b;&b;&b;">]>',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x.dtd"> %x;]>',
    ],
)
def test_entities_are_refused_and_nothing_outside_is_read(tmp_path, head):
    (tmp_path / "a.xml").write_text(f"{head}<annotation><filename>&x;</filename></annotation>")
    with pytest.raises(InputError, match=r"a\.xml: wanted an XML annotation"):
        voc_xml.read(tmp_path / "a.xml", first_pixel=1)


def test_annotation_files_of_any_size_are_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(voc_xml, "LARGEST_FILE", 2**20)
    with (tmp_path / "a.xml").open("wb") as sparse:
        sparse.truncate(2**20 + 1)
    with pytest.raises(InputError, match=r"a\.xml: larger than 1 MiB"):
        voc_xml.read(tmp_path / "a.xml", first_pixel=1)
    with (tmp_path / "a.json").open("wb") as sparse:
        sparse.truncate(coco_json.LARGEST_FILE + 1)
    with pytest.raises(InputError, match=r"a\.json: larger than 4 GiB"):
        coco_json.load(tmp_path / "a.json")


def png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def jpeg(width, height):
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return (
        b"\xff\xd8"
        + frame
        + b"\xff\xda"
        + struct.pack(">HB", 8, 1)
        + b"\x01\x00\x00\x3f\x00"
        + b"\0" * 99
        + b"\xff\xd9"
    )


def bmp(width, height):
    return (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 200, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + b"\0" * 99
    )


def gif(width, height):
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, width, height, 0)
        + b"\x02\x00;"
    )


@pytest.mark.parametrize("make", [png, jpeg, bmp, gif])
@pytest.mark.parametrize("read", [load_image, image_size, open_image])
def test_an_image_that_claims_a_thousand_million_pixels_is_refused_before_it_is_decoded(tmp_path, make, read):
    file = tmp_path / f"a.{make.__name__}"
    file.write_bytes(make(31623, 31623))
    assert 31623**2 > 10**9 > MAX_PIXELS
    with pytest.raises(InputError, match=re.escape(f"{file}: ") + ".*(pixels|decompression bomb)"):
        read(file)


def test_a_page_of_postscript_is_no_image_and_not_run(tmp_path):
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(harm) print\nshowpage\n"
    (tmp_path / "a.png").write_bytes(page)
    Image.init()
    assert "EPS" in Image.OPEN
    with pytest.raises(InputError, match="wanted an image, got something else"):
        load_image(tmp_path / "a.png")
