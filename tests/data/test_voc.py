"""VOC trees: by hand, in the states they are found in, and two real sets against another parser."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from on_disk import put

from resdet.data.formats import open_records
from resdet.data.formats.voc import read
from resdet.data.formats.voc_files import stems
from resdet.data.image import image_size
from resdet.errors import InputError


def xml(*objects: tuple, filename: str = "a.jpg", size: tuple[int, int] | None = (50, 40)) -> str:
    """Objects are ``(name, xmin, ymin, xmax, ymax)``, and ``difficult`` where it is given."""
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>" if size else ""
    inner = "".join(
        f"<object><name>{name}</name><difficult>{flag[0] if flag else 0}</difficult><bndbox><xmin>{x1}</xmin>"
        f"<ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for name, x1, y1, x2, y2, *flag in objects
    )
    return f"<annotation><filename>{filename}</filename>{sides}{inner}</annotation>"


@pytest.fixture
def tree(tmp_path) -> Path:
    """Three images: a cat and a difficult dog, nothing, a person; the first two are train, the last val."""
    put(tmp_path, "Annotations/000001.xml", xml(("cat", 1, 1, 50, 40), ("dog", 11, 12, 20, 22, 1)))
    put(tmp_path, "Annotations/000002.xml", xml())
    put(tmp_path, "Annotations/000003.xml", xml(("person", 2, 3, 4, 5), size=None))
    put(tmp_path, "ImageSets/Main/train.txt", "000002\n000001\n")
    put(tmp_path, "ImageSets/Main/val.txt", "000003\n")
    for name in ("000001.jpg", "000002.png", "000003.jpg"):
        put(tmp_path, f"JPEGImages/{name}")
    return tmp_path


def rows(records) -> list[tuple]:
    return [
        (
            r.path,
            [tuple(b) for b in r.boxes],
            [records.classes.ids[i] for i in r.box_labels],
            list(r.box_ignored),
            r.size,
        )
        for r in map(records.__getitem__, range(len(records)))
    ]


def test_boxes_count_pixels_from_1_and_include_the_last_one(tree):
    assert rows(read(tree, "train")) == [  # in the order of the list
        ("JPEGImages/000002.png", [], [], [], (50, 40)),
        ("JPEGImages/000001.jpg", [(0, 0, 50, 40), (10, 11, 20, 22)], ["cat", "dog"], [False, True], (50, 40)),
    ]
    assert rows(read(tree, "val")) == [("JPEGImages/000003.jpg", [(1, 2, 4, 5)], ["person"], [False], (0, 0))]
    assert read(tree, "train").labels.tolist() == [-1, -1]
    assert read(tree, "train").target(0).boxes.shape == (0, 4)


def test_all_is_every_xml_in_the_order_of_the_names(tree):
    assert [row[0] for row in rows(read(tree, "all"))] == [
        "JPEGImages/000001.jpg",
        "JPEGImages/000002.png",
        "JPEGImages/000003.jpg",
    ]


VOC = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow "
    "diningtable dog horse motorbike person pottedplant sheep sofa train tvmonitor"
)


def test_vocs_own_classes_have_their_usual_order_whatever_the_list_holds(tree):
    for split in ("train", "val", "all"):
        assert " ".join(read(tree, split).classes.ids) == VOC
        assert read(tree, split).classes.names == read(tree, split).classes.ids
    assert read(tree, "val").box_labels.tolist() == [14]


def test_other_classes_are_those_of_all_files_sorted(tree):
    put(tree, "Annotations/000004.xml", xml(("ant", 1, 1, 2, 9)))
    for split in ("train", "val", "all"):
        assert read(tree, split).classes.ids == ("ant", "cat", "dog", "person")
    assert read(tree, "val").box_labels.tolist() == [3]
    assert read(tree, "train").box_labels.tolist() == [1, 2]


def test_lists_of_one_class_give_the_images_that_hold_it(tree):
    put(tree, "ImageSets/Main/dog_all.txt", "000001  0\n000002 -1\n000003  1\n")
    assert [row[0] for row in rows(read(tree, "dog_all"))] == ["JPEGImages/000001.jpg", "JPEGImages/000003.jpg"]


def test_a_list_may_repeat_names_and_give_them_endings_or_spaces(tree):
    put(tree, "Annotations/IMG 1.xml", xml(("cat", 1, 1, 2, 2)))
    put(tree, "ImageSets/Main/odd.txt", "\ufeff000001.jpg\n\nIMG 1\n000001\n IMG 1.png 1\n")
    assert [row[0] for row in rows(read(tree, "odd"))] == ["JPEGImages/000001.jpg", "JPEGImages/IMG 1.jpg"]


def test_a_list_may_be_a_file_elsewhere(tree, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("lists")
    mine = put(elsewhere, "mine.txt", "000003\n")
    assert len(open_records(f"voc:{tree}:{mine}")) == 1
    monkeypatch.chdir(elsewhere)
    assert len(open_records(f"voc:{tree}:mine.txt")) == 1
    put(tree, "mine.txt", "000001\n000003\n")
    assert len(open_records(f"voc:{tree}:mine.txt")) == 2  # the set's own comes first
    with pytest.raises(InputError, match=r"no list 'none\.txt'; looked for .*Main/none\.txt, "):
        open_records(f"voc:{tree}:none.txt")


def test_a_box_of_one_column_or_row_is_ignored_and_kept(tree):
    boxes = [("cat", 9, 9, 9, 9), ("cat", 9, 9, 9, 30), ("cat", 9, 9, 30, 9), ("cat", 9, 9, 10, 10)]
    put(tree, "Annotations/000003.xml", xml(*boxes))
    records = read(tree, "val")
    assert records.box_ignored.tolist() == [True, True, True, False]
    assert records.boxes.tolist() == [[8, 8, 9, 9], [8, 8, 9, 30], [8, 8, 30, 9], [8, 8, 10, 10]]


def test_a_box_that_is_upside_down_is_told_with_its_file_and_number(tree):
    put(tree, "Annotations/000003.xml", xml(("cat", 1, 1, 2, 2), ("cat", 30, 9, 9, 30)))
    with pytest.raises(InputError, match=r"000003\.xml: object 2: the box is upside down: xmax 9 is less than xmin 30"):
        read(tree, "val")
    with pytest.raises(InputError, match=r"000003\.xml: object 2"):  # its classes count for every list
        read(tree, "train")


def test_annotations_are_enough(tree):
    for file in (tree / "JPEGImages").iterdir():
        file.unlink()
    (tree / "JPEGImages").rmdir()
    assert [row[0] for row in rows(read(tree, "all"))][1] == "JPEGImages/000002.jpg"


def test_small_letters_and_a_folder_further_down_do(tmp_path):
    put(tmp_path, "Set/annotations/b.xml", xml(("bee", 1, 1, 3, 3)))
    put(tmp_path, "Set/annotations/notes.txt", "no annotation")
    put(tmp_path, "Set/images/b.JPG")
    put(tmp_path, "docs/readme.txt")
    records = read(tmp_path, "all")
    assert rows(records)[0][0] == "images/b.JPG"
    assert records.file(0).is_file()


def test_the_image_may_be_told_by_the_xml_where_none_has_its_name(tree):
    put(tree, "Annotations/other.xml", xml(("cat", 1, 1, 2, 2), filename="000002"))
    put(tree, "Annotations/000003.xml", xml(filename="/home/me/000001.jpg"))  # its own name comes first
    assert [row[0] for row in rows(read(tree, "all"))][2:] == ["JPEGImages/000003.jpg", "JPEGImages/000002.png"]


def test_of_files_with_one_stem_the_first_by_name_counts(tmp_path):
    for number in range(40):
        for ending in ("png", "bmp", "JPG", "jpeg"):
            (tmp_path / f"{number}.{ending}").touch()
    found = stems(tmp_path, (".jpg", ".jpeg", ".png"))
    assert found == {str(number): f"{number}.JPG" for number in range(40)}
    assert list(found) == sorted(found)


def test_of_several_sets_one_must_be_named(tree, tmp_path_factory):
    kit = tmp_path_factory.mktemp("kit")
    for year in ("VOC2007", "VOC2012"):
        put(kit, f"VOCdevkit/{year}/Annotations/a.xml", xml(("cat", 1, 1, 2, 2)))
    for root in (kit, kit / "VOCdevkit"):
        with pytest.raises(InputError, match=r"holds several sets, name one: .*VOC2007, .*VOC2012"):
            read(root, "all")
    assert len(read(kit / "VOCdevkit" / "VOC2012", "all")) == 1


def test_a_test_list_without_any_annotation_has_no_boxes_but_a_gap_is_told(tree):
    put(tree, "ImageSets/Main/test.txt", "2008_000001\n2008_000002\n")
    assert rows(read(tree, "test"))[1] == ("JPEGImages/2008_000002.jpg", [], [], [], (0, 0))
    put(tree, "ImageSets/Main/gap.txt", "000001\n2008_000002\n")
    with pytest.raises(InputError, match=r"2008_000002\.xml: not found, though the list 'gap' .* 1 of 2"):
        read(tree, "gap")


FAULTS = {
    "a word": ("000001 maybe", r"bad\.txt:2: wanted '<name>' or '<name> -1\|0\|1', got '000001 maybe'"),
    "a number": ("000009 17", r"bad\.txt:2: wanted '<name>' or"),
    "up": ("../000001", r"bad\.txt:2: wanted the name of a file within the data set, got '\.\./000001'"),
    "absolute": ("/etc/passwd", r"bad\.txt:2: wanted the name of a file within the data set"),
}


@pytest.mark.parametrize(("line", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_wrong_line_of_a_list_is_named(tree, line, message):
    put(tree, "ImageSets/Main/bad.txt", f"000001\n{line}\n")
    with pytest.raises(InputError, match=message):
        read(tree, "bad")


def test_missing_parts_are_told_with_what_there_is(tree, tmp_path_factory):
    with pytest.raises(InputError, match=r"Main/test\.txt: no list 'test'; there is all, train, val"):
        read(tree, "test")
    with pytest.raises(InputError, match="wanted a folder with Annotations, JPEGImages"):
        read(tmp_path_factory.mktemp("empty"), "all")
    (tree / "ImageSets/Main/latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(InputError, match=r"latin\.txt: wanted lines .* as UTF-8 text"):
        read(tree, "latin")


def parsed(file: Path) -> tuple[list[tuple[str, list[float]]], tuple[int, int], str]:
    """Another reading of an annotation: names and boxes as written, width and height, file name."""
    top = ElementTree.parse(file).getroot()
    objects = [
        (one.find("name").text, [float(one.find(f"bndbox/{side}").text) for side in ("xmin", "ymin", "xmax", "ymax")])
        for one in top.findall("object")
    ]
    return objects, tuple(int(top.find(f"size/{side}").text) for side in ("width", "height")), top.find("filename").text


@pytest.mark.parametrize(
    ("name", "folder", "images", "boxes", "classes"),
    [
        ("bccd", "BCCD/Annotations", 364, 4888, ("Platelets", "RBC", "WBC")),
        ("raccoon", "annotations", 200, 217, ("raccoon",)),
    ],
)
def test_real_sets_are_what_another_parser_reads(data_root, name, folder, images, boxes, classes):
    records = open_records(f"voc:{data_root / name}:all")
    assert (len(records), len(records.boxes), records.classes.ids) == (images, boxes, classes)
    files = sorted((data_root / name / folder).glob("*.xml"), key=lambda file: file.stem)
    for index, file in enumerate(files):
        record, (objects, size, filename) = records[index], parsed(file)
        assert Path(record.path).name == filename
        assert record.size == size == image_size(records.file(index))
        assert [records.classes.ids[label] for label in record.box_labels] == [one for one, _ in objects]
        assert [[x1 + 1, y1 + 1, x2, y2] for x1, y1, x2, y2 in record.boxes] == [box for _, box in objects]
    assert records.boxes.min() >= 0


def test_bccds_lists_share_out_its_images_and_its_two_boxes_without_area_are_ignored(data_root):
    split = {name: open_records(f"voc:{data_root / 'bccd'}:{name}") for name in ("train", "val", "trainval", "test")}
    assert {name: len(records) for name, records in split.items()} == {
        "train": 205,
        "val": 87,
        "trainval": 292,
        "test": 72,
    }
    names = [set(split[name].names()) for name in ("train", "val", "test")]
    assert len(set.union(*names)) == 364
    assert set(split["trainval"].names()) == names[0] | names[1]
    everything = open_records(f"voc:{data_root / 'bccd'}:all")
    assert everything.boxes[everything.box_ignored].tolist() == [[503, 336, 504, 337], [180, 328, 181, 329]]
    assert sum(int(split[name].box_ignored.sum()) for name in ("trainval", "test")) == 2
