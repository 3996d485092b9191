"""One reader for the XML of VOC and of ILSVRC: by tag, in the frame the caller states."""

import pytest

from resdet.data.formats import voc_xml
from resdet.data.formats.voc_xml import read
from resdet.errors import InputError


def bndbox(xmin, ymin, xmax, ymax):
    return f"<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>"


def write(tmp_path, *objects: str, size="<size><width>500</width><height>375</height><depth>3</depth></size>"):
    inner = "".join(f"<object>{o}</object>" for o in objects)
    (tmp_path / "a.xml").write_text(f"<annotation><filename>a</filename>{size}{inner}</annotation>")
    return tmp_path / "a.xml"


def test_inclusive_pixels_counted_from_0_become_continuous(tmp_path):
    found = read(write(tmp_path, "<name>dog</name>" + bndbox(0, 10, 499, 374)), first_pixel=0)
    assert found.size == (500, 375)
    assert found.objects == (("dog", (0, 10, 500, 375), False),)


def test_inclusive_pixels_counted_from_1_become_continuous(tmp_path):
    file = write(tmp_path, "<name>dog</name>" + bndbox(1, 11, 500, 375))
    assert read(file, first_pixel=1).objects[0].box == (0, 10, 500, 375)


def test_one_pixel_is_a_box(tmp_path):
    file = write(tmp_path, "<name>dog</name>" + bndbox(7, 8, 7, 8))
    assert read(file, first_pixel=0).objects[0].box == (7, 8, 8, 9)


def test_tags_may_come_in_any_order(tmp_path):
    box = "<bndbox><xmin>1</xmin><xmax>3</xmax><ymin>2</ymin><ymax>4</ymax></bndbox>"
    assert read(write(tmp_path, box + "<name>dog</name>"), first_pixel=0).objects == (("dog", (1, 2, 4, 5), False),)


def test_numbers_may_be_floats_with_spaces_around(tmp_path):
    size = "<size><width> 500.0 </width><height>375</height></size>"
    found = read(write(tmp_path, "<name> dog\n</name>" + bndbox(" 45.7 ", 1, "2e2", 9), size=size), first_pixel=0)
    assert found.objects == (("dog", (45.7, 1, 201, 10), False),)
    assert found.size == (500, 375)


def test_size_may_lack(tmp_path):
    assert read(write(tmp_path, size=""), first_pixel=0) == (None, (), "a")


def test_difficult_is_told(tmp_path):
    flags = [f"<name>a</name>{bndbox(1, 1, 2, 2)}<difficult>{d}</difficult>" for d in "01"]
    assert [o.difficult for o in read(write(tmp_path, *flags), first_pixel=1).objects] == [False, True]


def test_parts_of_an_object_are_no_objects(tmp_path):
    """VOC 2012 boxes heads, hands and feet of some persons, before or after the person's own box."""
    part = f"<part><name>head</name>{bndbox(5, 5, 6, 6)}</part>"
    found = read(write(tmp_path, part + "<name>person</name>" + bndbox(1, 1, 9, 9)), first_pixel=1)
    assert found.objects == (("person", (0, 0, 9, 9), False),)


WRONG = {
    "no bndbox": ("<name>dog</name>", "wanted a bndbox"),
    "no name": (bndbox(1, 1, 2, 2), "wanted a name"),
    "a side lacks": ("<name>dog</name><bndbox><xmin>1</xmin></bndbox>", "ymin: wanted a number, got None"),
    "a word": ("<name>dog</name>" + bndbox(1, "two", 3, 4), "ymin: wanted a number, got 'two'"),
    "nan": ("<name>dog</name>" + bndbox(1, 2, "nan", 4), "xmax: wanted a finite number, got 'nan'"),
    "further than any image": ("<name>dog</name>" + bndbox(1, 2, "1e300", 4), "xmax: wanted pixels, got '1e300'"),
    "infinite": ("<name>dog</name>" + bndbox(1, 2, "1e999", 4), "xmax: wanted a finite number"),
    "right of itself": ("<name>dog</name>" + bndbox(20, 1, 10, 4), "upside down: xmax 10 is less than xmin 20"),
    "upside down": ("<name>dog</name>" + bndbox(1, 9, 10, 4), "upside down: ymax 4 is less than ymin 9"),
    "unknown class": ("<name>dgo</name>" + bndbox(1, 2, 3, 4), "class 'dgo' is not in the class list"),
}


@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_object_is_named_with_its_file_and_number(tmp_path, wrong, message):
    file = write(tmp_path, "<name>dog</name>" + bndbox(1, 2, 3, 4), wrong)
    with pytest.raises(InputError, match=r"a\.xml: object 2: ") as caught:
        read(file, first_pixel=0, classes={"dog", "cat"})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no xml",
        "<annotation><object>",
        "<?xml version='1.0' encoding='martian'?><annotation/>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><annotation><object>&b;</object></annotation>",  # the way to a billion laughs
    ],
)
def test_what_is_not_plain_xml_is_named(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(InputError, match=r"a\.xml: wanted an XML annotation: ") as caught:
        read(tmp_path / "a.xml", first_pixel=0)
    assert "\n" not in str(caught.value)


def test_plain_annotations_do_not_need_the_careful_parser_which_takes_three_times_as_long(tmp_path, monkeypatch):
    file = write(tmp_path, "<name>dog</name>" + bndbox(1, 2, 3, 4))
    with_comment = tmp_path / "b.xml"
    with_comment.write_text(file.read_text() + "<!-- the careful one's -->")
    careful = read(with_comment, first_pixel=0)
    monkeypatch.delattr(voc_xml, "fromstring")
    assert read(file, first_pixel=0) == careful
    with pytest.raises(NameError):
        read(with_comment, first_pixel=0)


ENTITY = '<!DOCTYPE a [<!ENTITY b "dog">]><annotation><object><name>&b;</name></object></annotation>'


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("us-ascii", ENTITY.encode()),
        ("cp037", ENTITY.encode("cp037")),
        ("mac_arabic", ENTITY.encode().replace(b"<!", b"\xbc\xa1")),  # its signs from right to left
        ("utf-7", ENTITY.encode().replace(b"<!", b"+ADwAIQ-")),
    ],
)
def test_no_encoding_hides_a_declaration_of_entities(tmp_path, encoding, body):
    (tmp_path / "a.xml").write_bytes(f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + body)
    with pytest.raises(InputError, match=r"a\.xml: wanted an XML annotation: "):
        read(tmp_path / "a.xml", first_pixel=0)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_nor_does_one_of_two_bytes_a_letter(tmp_path, encoding):
    (tmp_path / "a.xml").write_bytes(ENTITY.encode(encoding))
    with pytest.raises(InputError, match=r"a\.xml: wanted an XML annotation: "):
        read(tmp_path / "a.xml", first_pixel=0)


def test_a_file_is_read_to_its_end_however_long(tmp_path):
    objects = ["<name>dog</name>" + bndbox(n, 2, n + 3, 4) for n in range(2000)]
    file = write(tmp_path, *objects)
    assert file.stat().st_size > 2 * voc_xml.USUAL_FILE
    assert len(read(file, first_pixel=0).objects) == 2000


def test_a_missing_file_and_a_strange_size_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.xml: No such file"):
        read(tmp_path / "none.xml", first_pixel=0)
    with pytest.raises(InputError, match=r"a\.xml: size: wanted width and height"):
        read(write(tmp_path, size="<size><width>500</width></size>"), first_pixel=0)
    for width in ("-1", "1e12"):
        with pytest.raises(InputError, match=r"a\.xml: size: wanted width and height in pixels"):
            read(write(tmp_path, size=f"<size><width>{width}</width><height>5</height></size>"), first_pixel=0)
