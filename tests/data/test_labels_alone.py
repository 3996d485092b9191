"""CLS-LOC for those who want classes and no boxes: no XML of train is opened, and classes are the same."""

import pytest

from resdet.data.formats import open_records

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
TRAIN = {"n01440764/n01440764_1": 0, "n01440764/n01440764_2": 0, "n01484850/n01484850_7": 2}  # by their place of 1000


@pytest.fixture
def tree(tmp_path):
    for split, names in (("train", TRAIN), ("val", {"b": 2, "a": 0})):
        for name in names:
            wnid = name.partition("/")[0] if split == "train" else {"b": "n01484850", "a": "n01440764"}[name]
            for kind, text in (
                (f"Data/CLS-LOC/{split}/{name}.JPEG", ""),
                (
                    f"Annotations/CLS-LOC/{split}/{name}.xml",
                    f"<annotation><object><name>{wnid}</name>{BOX}</object></annotation>",
                ),
            ):
                (tmp_path / kind).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / kind).write_text(text)
    return tmp_path


def test_no_xml_of_train_is_opened_and_labels_are_the_same(tree):
    spec = f"ilsvrc-loc:{tree}:train_cls"
    whole = open_records(f"{spec} + {spec}")
    for file in (tree / "Annotations/CLS-LOC/train").rglob("*.xml"):
        file.write_text("no XML")
    alone = open_records(f"{spec} + {spec}", labels_alone=True)
    assert alone.classes == whole.classes and alone.paths() == whole.paths()
    assert alone.labels.tolist() == whole.labels.tolist() == [*TRAIN.values()] * 2
    assert len(whole.boxes) == 6 and not len(alone.boxes) and not alone.sizes.any()


def test_labels_of_val_are_still_those_of_its_boxes(tree):
    assert open_records(f"ilsvrc-loc:{tree}:val", labels_alone=True).labels.tolist() == [0, 2]


def test_other_formats_are_read_as_ever(tree):
    spec = f"folder:{tree}/Data/CLS-LOC/train"
    assert open_records(spec, labels_alone=True).paths() == open_records(spec).paths()
