"""DET's tree from annotations and lists alone."""

from pathlib import Path

import pytest
from on_disk import put

from resdet.data.formats import open_records
from resdet.data.formats.ilsvrc_det import read
from resdet.data.lists import coco_classes, det_blacklist, det_names, det_val_half, det_wnids, voc_names
from resdet.errors import InputError

ACCORDION, AIRPLANE, ANT = det_wnids()[:3]


def xml(*objects: tuple[str, int, int, int, int]) -> str:
    """DET has sides in the order xmin, xmax, ymin, ymax."""
    inner = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><xmax>{x2}</xmax><ymin>{y1}</ymin><ymax>{y2}</ymax>"
        f"</bndbox></object>"
        for name, x1, y1, x2, y2 in objects
    )
    return f"<annotation><size><width>500</width><height>375</height></size>{inner}</annotation>"


def put_train(root: Path, lists: dict[int, str]) -> None:
    (root / "ImageSets/DET").mkdir(parents=True, exist_ok=True)
    (root / "Annotations/DET/train").mkdir(parents=True, exist_ok=True)
    for class_id in range(1, 201):
        (root / f"ImageSets/DET/train_{class_id}.txt").write_text(lists.get(class_id, ""))


def rows(records) -> list[tuple]:
    return [
        (r.path, [tuple(b) for b in r.boxes], list(r.box_labels), r.size, r.number)
        for r in map(records.__getitem__, range(len(records)))
    ]


@pytest.fixture
def tree(tmp_path) -> Path:
    """Three val images: with two objects, with an XML that has none, without XML; four of train."""
    put(tmp_path, "ImageSets/DET/val.txt", "ILSVRC2012_val_00000001 1\nILSVRC2012_val_00000007 2\nILSVRC2013_val_1 3\n")
    val = "Annotations/DET/val"
    put(tmp_path, f"{val}/ILSVRC2012_val_00000001.xml", xml((ANT, 0, 1, 2, 3), (ACCORDION, 7, 7, 7, 7)))
    put(tmp_path, f"{val}/ILSVRC2012_val_00000007.xml", xml())
    put(tmp_path, "ImageSets/DET/test.txt", "ILSVRC2012_test_00000001 1\n")
    new, old = "ILSVRC2014_train_0000/ILSVRC2014_train_", f"ILSVRC2013_train/{AIRPLANE}/{AIRPLANE}_"
    put_train(
        tmp_path,
        {
            1: f"{new}1 1\n{new}2 -1\n{old}5 0\n",
            2: f"{old}5 1\n{new}1 1\nILSVRC2013_train_extra0/ILSVRC2013_train_9 -1\n",
        },
    )
    put(tmp_path, f"Annotations/DET/train/{new}1.xml", xml((ACCORDION, 1, 1, 9, 9), (AIRPLANE, 2, 2, 8, 8)))
    put(tmp_path, f"Annotations/DET/train/{old}5.xml", xml((AIRPLANE, 0, 0, 499, 374)))
    return tmp_path


VAL = [
    ("Data/DET/val/ILSVRC2012_val_00000001.JPEG", [(0, 1, 3, 4), (7, 7, 8, 8)], [2, 0], (500, 375), 1),
    ("Data/DET/val/ILSVRC2012_val_00000007.JPEG", [], [], (500, 375), 2),
    ("Data/DET/val/ILSVRC2013_val_1.JPEG", [], [], (0, 0), 3),
]
BOTH = (
    "Data/DET/train/ILSVRC2014_train_0000/ILSVRC2014_train_1.JPEG",
    [(1, 1, 10, 10), (2, 2, 9, 9)],
    [0, 1],
    (500, 375),
    -1,
)
PLANE = (
    f"Data/DET/train/ILSVRC2013_train/{AIRPLANE}/{AIRPLANE}_5.JPEG",
    [(0, 0, 500, 375)],
    [1],
    (500, 375),
    -1,
)


def test_val_has_its_indices_and_every_box_counts(tree):
    records = read(tree, "val")
    assert rows(records) == VAL
    assert not records.box_ignored.any()  # the development kit knows no ignored boxes, one pixel is one
    assert records.labels.tolist() == [-1] * 3


def test_classes_are_the_development_kits_in_its_order(tree):
    classes = open_records(f"ilsvrc-det:{tree}:val").classes
    assert (len(classes), classes.ids[:2], classes.names[:2]) == (200, (ACCORDION, AIRPLANE), ("accordion", "airplane"))
    assert classes.numbers == tuple(range(1, 201))


def test_train_is_what_each_class_has_complete_an_image_once(tree):
    assert rows(read(tree, "train")) == [BOTH, PLANE]


def test_train_leaves_out_what_is_boxed_in_part_or_shows_the_class_nowhere(tmp_path):
    put_train(tmp_path, {5: "a/1 0\na/2 1\na/3 -1\n"})
    assert read(tmp_path, "train").names() == ["2"]
    assert read(tmp_path, "train_all").names() == ["1", "2", "3"]


def test_train_all_is_every_listed_image_once(tree):
    records = read(tree, "train_all")
    assert rows(records) == [
        BOTH,
        ("Data/DET/train/ILSVRC2014_train_0000/ILSVRC2014_train_2.JPEG", [], [], (0, 0), -1),
        PLANE,
        ("Data/DET/train/ILSVRC2013_train_extra0/ILSVRC2013_train_9.JPEG", [], [], (0, 0), -1),
    ]


def test_train_draws_a_thousand_images_of_a_class_the_same_each_time(tmp_path):
    put_train(tmp_path, {3: "".join(f"a/{i} 1\n" for i in range(2500)), 4: "".join(f"a/{i} 1\n" for i in range(2500))})
    records = read(tmp_path, "train")
    numbers = [int(records.name(i)) for i in range(len(records))]
    first = numbers[:1000]
    assert first == sorted(first)
    assert len(set(numbers)) == len(numbers)
    assert 1400 < len(numbers) < 1800  # two draws of 1000 of 2500 share about 400
    assert 1100 < sum(first) / 1000 < 1400  # from the whole list, not its beginning
    assert rows(read(tmp_path, "train")) == rows(records)


def test_sums_hold_the_images_of_each_part_once(tree):
    assert rows(read(tree, "val+train")) == [*VAL, BOTH, PLANE]
    assert rows(read(tree, "train+train_all")) == [BOTH, PLANE, *(r for r in rows(read(tree, "train_all")) if not r[1])]
    assert len(read(tree, "val+val")) == 3


def test_halves_take_their_index_from_val_not_from_their_own_second_column(tree):
    put(tree, "ImageSets/DET/val2.txt", "ILSVRC2013_val_1 1\nILSVRC2012_val_00000001 2\n")
    assert rows(read(tree, "val2")) == [VAL[2], VAL[0]]
    (tree / "ImageSets/DET/val.txt").unlink()
    assert read(tree, "val2").numbers.tolist() == [-1, -1]


def test_halves_come_with_the_package_where_the_tree_has_none(tmp_path):
    put(tmp_path, "Annotations/DET/val/ILSVRC2012_val_00032300.xml", xml((ANT, 0, 1, 2, 3)))
    records = read(tmp_path, "val2")
    assert len(records) == 9917
    assert rows(records)[0] == ("Data/DET/val/ILSVRC2012_val_00032300.JPEG", [(0, 1, 3, 4)], [2], (500, 375), -1)
    names = sorted([*det_val_half("val1"), *det_val_half("val2")])
    put(tmp_path, "ImageSets/DET/val.txt", "".join(f"{name} {i}\n" for i, name in enumerate(names, 5)))
    numbered = read(tmp_path, "val2")
    assert numbered.names() == records.names() == list(det_val_half("val2"))
    assert [names[number - 5] for number in numbered.numbers.tolist()] == numbered.names()


def test_test_has_no_boxes_and_kaggles_folder_does_too(tree):
    assert rows(read(tree, "test")) == [("Data/DET/test/ILSVRC2012_test_00000001.JPEG", [], [], (0, 0), 1)]
    (tree / "outer").mkdir()
    for kind in ("Annotations", "ImageSets"):
        (tree / "outer/ILSVRC").mkdir(exist_ok=True)
        (tree / kind).rename(tree / "outer/ILSVRC" / kind)
    assert len(read(tree / "outer", "val")) == 3


FAULTS = {
    "split": ({}, "val3", r"wanted train, train_all, val, .* or a sum as in train\+val1, got 'val3'"),
    "sum": ({}, "val+", "or a sum"),
    "label": ({"ImageSets/DET/train_7.txt": "a/b 2\n"}, "train", r"train_7\.txt:1: wanted '<path> 1\|0\|-1', got"),
    "words": (
        {"ImageSets/DET/train_7.txt": "\na/b\n"},
        "train",
        r"train_7\.txt:2: wanted '<path> 1\|0\|-1', got 'a/b'",
    ),
    "way out": (
        {"ImageSets/DET/train_7.txt": "../b 1\n"},
        "train",
        r"train_7\.txt:1: wanted the name of a file within",
    ),
    "index": ({"ImageSets/DET/val.txt": "a x\n"}, "val", r"val\.txt:1: wanted '<name> <index>', got 'a x'"),
    "half": ({"ImageSets/DET/val1.txt": "b 1\n"}, "val1", r"val\.txt: wanted all images of val1, 'b' is not there"),
    "class": (
        {"Annotations/DET/val/ILSVRC2013_val_1.xml": xml(("n1", 1, 1, 2, 2))},
        "val",
        r"val_1\.xml: object 1: class 'n1' is not in the class list",
    ),
}


@pytest.mark.parametrize(("files", "split", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named(tree, files, split, message):
    for path, text in files.items():
        put(tree, path, text)
    with pytest.raises(InputError, match=message):
        read(tree, split)


def test_missing_parts_are_told(tree, tmp_path_factory):
    (tree / "ImageSets/DET/train_150.txt").unlink()
    for split in ("train", "train_all"):
        with pytest.raises(InputError, match=r"train_150\.txt: No such file.* train_1\.txt to train_200\.txt"):
            read(tree, split)
    (tree / "ImageSets/DET/val.txt").unlink()
    with pytest.raises(InputError, match=r"val\.txt: No such file"):
        read(tree, "val")
    with pytest.raises(InputError, match="wanted a folder with Data/DET, Annotations/DET"):
        read(tmp_path_factory.mktemp("empty"), "val")
    bare = put(tmp_path_factory.mktemp("bare"), "ImageSets/DET/val.txt", "a 1\n").parents[2]
    with pytest.raises(InputError, match=r"Annotations/DET/val: not found; the boxes of val are there"):
        read(bare, "val")


def test_lists_are_whole():
    assert len(det_wnids()) == len(set(det_wnids())) == len(set(det_names())) == 200
    assert (det_wnids()[2], det_names()[199]) == ("n02219486", "zebra")
    halves = [det_val_half("val1"), det_val_half("val2")]
    assert [len(set(half)) for half in halves] == [9887, 9917]
    assert not set(halves[0]) & set(halves[1])
    images = {index for index, _ in det_blacklist()}
    assert (len(det_blacklist()), len(images)) == (409, 317)
    assert len(images) + 9887 + 9917 == 20121  # all of val: the halves are without the blacklisted images
    assert min(images) >= 1
    assert max(images) <= 20121


def test_lists_of_voc_and_coco_are_whole():
    assert (len(voc_names()), voc_names()[0], voc_names()[14]) == (20, "aeroplane", "person")
    assert list(voc_names()) == sorted(voc_names())
    assert (len(coco_classes()), coco_classes()[1], coco_classes()[90]) == (80, "person", "toothbrush")
    meta = pytest.importorskip("torchvision.models._meta")._COCO_CATEGORIES
    assert coco_classes() == {number: name for number, name in enumerate(meta) if name not in ("__background__", "N/A")}


def test_lists_agree_with_the_development_kits_own_files(data_root):
    folder = data_root / "ilsvrc-metadata"
    kit = [line.split() for line in (folder / "map_det.txt").read_text().splitlines()]
    assert [(int(number), wnid) for wnid, number, *_ in kit] == list(enumerate(det_wnids(), 1))
    assert [" ".join(words).replace("_", " ") for _, _, *words in kit] == list(det_names())
    pairs = [line.split() for line in (folder / "det_val_blacklist.txt").read_text().splitlines()]
    assert {(int(index), wnid) for index, wnid in pairs} == det_blacklist()
    for half in ("val1", "val2"):
        assert [line.split()[0] for line in (folder / f"{half}.txt").read_text().splitlines()] == [*det_val_half(half)]
