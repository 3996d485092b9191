"""CLS-LOC trees in every state they are found in: with images or without, flat or in folders, with XML or CSV."""

import os
from pathlib import Path

import pytest
from on_disk import put

from resdet.data.formats.ilsvrc_loc import read
from resdet.data.lists import imagenet_names, imagenet_wnids
from resdet.errors import InputError

TENCH, GOLDFISH, SHARK = imagenet_wnids()[:3]


def xml(*objects: tuple[str, int, int, int, int]) -> str:
    return f"<annotation><filename>a</filename>{''.join(xml_object(*o) for o in objects)}</annotation>"


def xml_object(name: str, *box: int) -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inner = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"


def put_val(root: Path, **objects) -> None:
    """val.txt and one XML for each ``name=[(class, xmin, ymin, xmax, ymax), ...]``, no images."""
    put(root, "ImageSets/CLS-LOC/val.txt", "".join(f"{name} {i}\n" for i, name in enumerate(objects, 1)))
    for name, boxes in objects.items():
        put(root, f"Annotations/CLS-LOC/val/{name}.xml", xml(*boxes))


def put_train(root: Path) -> None:
    """Two tenches and a goldfish; the second tench has no box."""
    put(
        root,
        "ImageSets/CLS-LOC/train_cls.txt",
        f"{TENCH}/{TENCH}_1 1\n{TENCH}/{TENCH}_2 2\n{GOLDFISH}/{GOLDFISH}_7 3\n",
    )
    put(root, "ImageSets/CLS-LOC/train_loc.txt", f"{TENCH}/{TENCH}_1 1\n{GOLDFISH}/{GOLDFISH}_7 2\n")
    put(root, f"Annotations/CLS-LOC/train/{TENCH}/{TENCH}_1.xml", xml((TENCH, 0, 0, 9, 9), (TENCH, 5, 5, 5, 5)))
    put(root, f"Annotations/CLS-LOC/train/{GOLDFISH}/{GOLDFISH}_7.xml", xml((GOLDFISH, 1, 2, 3, 4)))
    for name in (f"{TENCH}/{TENCH}_1", f"{TENCH}/{TENCH}_2", f"{GOLDFISH}/{GOLDFISH}_7"):
        put(root, f"Data/CLS-LOC/train/{name}.JPEG")


def rows(records) -> list[tuple]:
    return [
        (r.path, r.label, [tuple(b) for b in r.boxes], list(r.box_labels))
        for r in map(records.__getitem__, range(len(records)))
    ]


def test_val_is_read_without_a_single_image(tmp_path):
    put_val(tmp_path, b_2=[(GOLDFISH, 0, 1, 2, 3)], a_1=[(TENCH, 4, 5, 6, 7), (TENCH, 0, 0, 0, 0)])
    records = read(tmp_path, "val")
    assert rows(records) == [  # in the order of the list
        ("Data/CLS-LOC/val/b_2.JPEG", 1, [(0, 1, 3, 4)], [1]),
        ("Data/CLS-LOC/val/a_1.JPEG", 0, [(4, 5, 7, 8), (0, 0, 1, 1)], [0, 0]),
    ]
    assert records.classes.ids == imagenet_wnids()
    assert records.classes.names == imagenet_names()


def test_val_images_may_lie_in_class_folders_and_have_other_endings(tmp_path):
    put_val(tmp_path, a=[(TENCH, 0, 0, 1, 1)], b=[(GOLDFISH, 0, 0, 1, 1)], c=[(TENCH, 0, 0, 1, 1)])
    put(tmp_path, f"Data/CLS-LOC/val/{TENCH}/a.JPEG")
    put(tmp_path, f"Data/CLS-LOC/val/{GOLDFISH}/b.png")
    paths = [path for path, *_ in rows(read(tmp_path, "val"))]
    assert paths == [
        f"Data/CLS-LOC/val/{TENCH}/a.JPEG",
        f"Data/CLS-LOC/val/{GOLDFISH}/b.png",
        "Data/CLS-LOC/val/c.JPEG",
    ]


def test_listed_images_may_have_various_endings(tmp_path):
    put_val(tmp_path, a=[(TENCH, 0, 0, 1, 1)], b=[(GOLDFISH, 0, 0, 1, 1)], c=[(TENCH, 0, 0, 1, 1)])
    names = [put(tmp_path, f"Data/CLS-LOC/val/{name}").name for name in ("a.JPEG", "b.png", "c.jpg")]
    assert [path.rpartition("/")[2] for path, *_ in rows(read(tmp_path, "val"))] == names


def test_val_without_a_list_is_what_is_there_by_name(tmp_path):
    for name in ("b", "a"):
        put(tmp_path, f"Annotations/CLS-LOC/val/{name}.xml", xml((TENCH, 0, 0, 1, 1)))
    assert [r[0] for r in rows(read(tmp_path, "val"))] == ["Data/CLS-LOC/val/a.JPEG", "Data/CLS-LOC/val/b.JPEG"]
    put(tmp_path, f"Data/CLS-LOC/val/{TENCH}/b.JPEG")  # one image: then only that one
    assert [r[0] for r in rows(read(tmp_path, "val"))] == [f"Data/CLS-LOC/val/{TENCH}/b.JPEG"]


def test_kaggle_unpacks_into_a_folder_ilsvrc(tmp_path):
    put_val(tmp_path / "ILSVRC", a=[(GOLDFISH, 0, 0, 1, 1)])
    put(tmp_path, "LOC_synset_mapping.txt", f"{GOLDFISH} goldfish, Carassius auratus\n{TENCH} tench\n")
    for root in (tmp_path, tmp_path / "ILSVRC"):
        records = read(root, "val")
        assert records.root == tmp_path / "ILSVRC"
        assert records.file(0) == tmp_path / "ILSVRC/Data/CLS-LOC/val/a.JPEG"
        assert records.classes.ids == (GOLDFISH, TENCH)
        assert records.classes.names == ("goldfish", "tench")
        assert records[0].label == 0


def test_train_is_the_list_of_images_with_boxes(tmp_path):
    put_train(tmp_path)
    assert rows(read(tmp_path, "train")) == [
        (f"Data/CLS-LOC/train/{TENCH}/{TENCH}_1.JPEG", 0, [(0, 0, 10, 10), (5, 5, 6, 6)], [0, 0]),
        (f"Data/CLS-LOC/train/{GOLDFISH}/{GOLDFISH}_7.JPEG", 1, [(1, 2, 4, 5)], [1]),
    ]


def test_train_images_without_xml_have_no_boxes(tmp_path):
    put_train(tmp_path)
    second = (f"Data/CLS-LOC/train/{TENCH}/{TENCH}_2.JPEG", 0, [], [])
    assert rows(read(tmp_path, "train_cls"))[1] == second
    os.remove(tmp_path / "ImageSets/CLS-LOC/train_loc.txt")
    assert rows(read(tmp_path, "train"))[1] == second


def test_train_without_lists_is_every_image_there_is(tmp_path):
    put_train(tmp_path)
    listed = rows(read(tmp_path, "train_cls"))
    for name in ("train_loc.txt", "train_cls.txt"):
        os.remove(tmp_path / "ImageSets/CLS-LOC" / name)
    assert rows(read(tmp_path, "train")) == listed


def test_files_of_one_name_in_two_class_folders_are_two_images(tmp_path):
    for shape in ("cat", "dog"):
        put(tmp_path, f"Data/CLS-LOC/train/{shape}/1.jpg")
    assert rows(read(tmp_path, "train")) == [
        ("Data/CLS-LOC/train/cat/1.jpg", 0, [], []),
        ("Data/CLS-LOC/train/dog/1.jpg", 1, [], []),
    ]


def test_classes_of_a_set_without_mapping_are_its_folders_whichever_split_is_read(tmp_path):
    put_val(tmp_path, a=[("dog", 0, 0, 1, 1)])
    for shape in ("dog", "cat"):
        put(tmp_path, f"Data/CLS-LOC/train/{shape}/{shape}_1.JPEG")
    for split in ("train", "val"):
        assert read(tmp_path, split).classes.ids == ("cat", "dog")
    assert read(tmp_path, "val")[0].label == 1


def test_classes_without_mapping_or_folders_are_those_of_the_boxes(tmp_path):
    put_val(tmp_path, a=[("dog", 0, 0, 1, 1)], b=[("cat", 0, 0, 1, 1)])
    assert read(tmp_path, "val").classes.ids == ("cat", "dog")


def test_few_classes_of_imagenet_keep_their_label_among_the_1000(tmp_path):
    put_val(tmp_path, a=[(SHARK, 0, 0, 1, 1)])
    assert read(tmp_path, "val")[0].label == 2


@pytest.mark.parametrize("form", ["{} {}, other name", "{} : {}, other name", "{}\t{}", "{} {}\n"])
def test_mapping_lines_in_all_their_forms(tmp_path, form):
    put_val(tmp_path, a=[("n2", 0, 0, 1, 1)])
    put(tmp_path, "LOC_synset_mapping.txt", "\n".join([form.format("n3", "grey whale"), form.format("n2", "ox")]))
    classes = read(tmp_path, "val").classes
    assert (classes.ids, classes.names) == (("n3", "n2"), ("grey whale", "ox"))


def test_mapping_with_a_class_twice_is_named(tmp_path):
    put_val(tmp_path, a=[("n2", 0, 0, 1, 1)])
    put(tmp_path, "LOC_synset_mapping.txt", "n2 ox\nn3 ax\nn2 ox\n")
    with pytest.raises(InputError, match=r"LOC_synset_mapping\.txt:3: class 'n2' is listed twice"):
        read(tmp_path, "val")


def test_official_mapping_gives_names_that_are_all_different(tmp_path, data_root):
    put_val(tmp_path, a=[(TENCH, 0, 0, 1, 1)])
    mapping = (data_root / "ilsvrc-metadata/LOC_synset_mapping.txt").read_text()
    put(tmp_path, "LOC_synset_mapping.txt", mapping)
    classes = read(tmp_path, "val").classes
    assert classes.ids == imagenet_wnids()
    assert len(set(classes.names)) == 1000


def test_test_images_have_neither_label_nor_boxes(tmp_path):
    put(tmp_path, "ImageSets/CLS-LOC/test.txt", "ILSVRC2012_test_00000001 1\nILSVRC2012_test_00000002 2\n")
    records = read(tmp_path, "test")
    assert rows(records)[1] == ("Data/CLS-LOC/test/ILSVRC2012_test_00000002.JPEG", -1, [], [])
    assert len(records.classes) == 1000


def test_kaggles_csv_serves_where_there_is_no_xml(tmp_path):
    base = tmp_path / "ILSVRC"
    put_train(base)
    put(base, "ImageSets/CLS-LOC/val.txt", "v_2 1\nv_1 2\n")
    for file in sorted(base.rglob("*.xml")):
        file.unlink()
    for folder in ("train/" + TENCH, "train/" + GOLDFISH, "train", ""):
        (base / "Annotations/CLS-LOC" / folder).rmdir()
    header = "ImageId,PredictionString\n"
    put(tmp_path, "LOC_val_solution.csv", f"{header}v_1,{TENCH} 0 1 2 3 \nv_2,{SHARK} 4 5 6 7 {SHARK} 0 0 0 0\n")
    put(tmp_path, "LOC_train_solution.csv", f"{header}{TENCH}_1,{TENCH} 0 0 9 9 {TENCH} 5 5 5 5\n")
    assert rows(read(tmp_path, "val")) == [
        ("Data/CLS-LOC/val/v_2.JPEG", 2, [(4, 5, 7, 8), (0, 0, 1, 1)], [2, 2]),
        ("Data/CLS-LOC/val/v_1.JPEG", 0, [(0, 1, 3, 4)], [0]),
    ]
    assert [r[1:] for r in rows(read(tmp_path, "train"))] == [(0, [(0, 0, 10, 10), (5, 5, 6, 6)], [0, 0]), (1, [], [])]


CSV_FAULTS = {
    "header": ("Id,Boxes\n", r"LOC_val_solution\.csv:1: wanted the header ImageId,PredictionString, got 'Id,Boxes'"),
    "columns": ("ImageId,PredictionString\na\n", r"LOC_val_solution\.csv:2: .* got 1 columns"),
    "groups": (f"ImageId,PredictionString\na,{TENCH} 1 2 3\n", r"csv:2: wanted groups of .* got 4 words"),
    "class": ("ImageId,PredictionString\na,x 1 2 3 4\n", r"csv:2: object 1: class 'x' is not in the class list"),
    "word": (f"ImageId,PredictionString\na,{TENCH} 1 2 3 z\n", r"csv:2: object 1: ymax: wanted a number, got 'z'"),
    "order": (f"ImageId,PredictionString\na,{TENCH} 5 2 3 4\n", r"csv:2: object 1: the box is upside down"),
    "missing": ("ImageId,PredictionString\n", r"LOC_val_solution\.csv: a: not found; every val image"),
}


@pytest.mark.parametrize(("text", "message"), CSV_FAULTS.values(), ids=CSV_FAULTS.keys())
def test_a_wrong_csv_line_is_named(tmp_path, text, message):
    put(tmp_path, "ImageSets/CLS-LOC/val.txt", "a 1\n")
    put(tmp_path, "LOC_synset_mapping.txt", f"{TENCH} tench\n")
    put(tmp_path, "LOC_val_solution.csv", text)
    with pytest.raises(InputError, match=message):
        read(tmp_path, "val")


def test_val_image_without_annotation_is_named(tmp_path):
    put_val(tmp_path, a=[(TENCH, 0, 0, 1, 1)], b=[(TENCH, 0, 0, 1, 1)])
    os.remove(tmp_path / "Annotations/CLS-LOC/val/b.xml")
    with pytest.raises(InputError, match=r"val/b\.xml: not found; every val image needs an annotation"):
        read(tmp_path, "val")


def test_val_annotation_without_box_is_named(tmp_path):
    put_val(tmp_path, a=[(TENCH, 0, 0, 1, 1)], b=[])
    with pytest.raises(InputError, match=r"val/b\.xml: wanted at least one object"):
        read(tmp_path, "val")


def test_val_annotation_with_two_classes_is_named(tmp_path):
    put_val(tmp_path, a=[(TENCH, 0, 0, 1, 1), (SHARK, 0, 0, 1, 1)])
    with pytest.raises(InputError, match=rf"val/a\.xml: wanted boxes of one class, got '{TENCH}' and '{SHARK}'"):
        read(tmp_path, "val")


def test_val_class_outside_the_list_is_named_and_does_not_renumber_the_others(tmp_path):
    put_val(tmp_path, a=[(TENCH, 0, 0, 1, 1)], b=[("n99999999", 0, 0, 1, 1)])
    with pytest.raises(InputError, match=r"val/b\.xml: object 1: class 'n99999999' is not in the class list"):
        read(tmp_path, "val")


def test_train_image_in_a_folder_that_is_no_class_is_named(tmp_path):
    put_train(tmp_path)
    put(tmp_path, "ImageSets/CLS-LOC/train_loc.txt", "n99999999/n99999999_1 1\n")
    with pytest.raises(InputError, match=r"train image 'n99999999/n99999999_1': wanted '<class>/<name>'"):
        read(tmp_path, "train")


def test_missing_parts_are_told_with_what_was_wanted(tmp_path):
    with pytest.raises(
        InputError, match="wanted a folder with Data/CLS-LOC, Annotations/CLS-LOC and ImageSets/CLS-LOC"
    ):
        read(tmp_path, "val")
    put(tmp_path, "ImageSets/CLS-LOC/val.txt", "a 1\n")
    with pytest.raises(
        InputError, match=r"no boxes of val: wanted Annotations/CLS-LOC/val/\*\.xml or LOC_val_solution"
    ):
        read(tmp_path, "val")
    with pytest.raises(InputError, match=r"no train images: wanted ImageSets/CLS-LOC/train_loc\.txt or images in Data"):
        read(tmp_path, "train")
    with pytest.raises(InputError, match="wanted the split train, train_cls, val, test, got 'vall'"):
        read(tmp_path, "vall")


def test_order_holds_over_many_files(tmp_path):
    """More than the reading threads take at a time, several times."""
    put_val(tmp_path, **{f"i{n}": [(imagenet_wnids()[n], n, 0, n, 0)] for n in range(700)})
    records = read(tmp_path, "val")
    assert records.labels.tolist() == list(range(700))
    assert records.boxes[:, 0].tolist() == list(range(700))


def test_the_first_eight_photographs_of_ilsvrc_val(tmp_path, data_root):
    photographs = data_root / "ilsvrc-val-1to8"
    for kind, ending in (("Data", "JPEG"), ("Annotations", "xml")):
        (tmp_path / kind / "CLS-LOC/val").mkdir(parents=True)
        for number in range(1, 9):
            name = f"ILSVRC2012_val_{number:08d}.{ending}"
            (tmp_path / kind / "CLS-LOC/val" / name).symlink_to(photographs / kind / name)
    put(tmp_path, "ImageSets/CLS-LOC/val.txt", "".join(f"ILSVRC2012_val_{n:08d} {n}\n" for n in range(1, 9)))
    records = read(tmp_path, "val")
    kit_order = [line.split()[0] for line in (data_root / "ilsvrc-metadata/map_clsloc.txt").read_text().splitlines()]
    kit_ids = (data_root / "ilsvrc-metadata/clsloc_val_ground_truth_ids.txt").read_text().split()[:8]
    assert [records.classes.ids[label] for label in records.labels] == [kit_order[int(i) - 1] for i in kit_ids]
    assert records.classes.names[records[0].label] == "sea snake"
    assert records[0].boxes == [(111, 108, 442, 194)]  # 111 108 441 193 in the development kit
    assert all(records.file(i).is_file() for i in range(8))
