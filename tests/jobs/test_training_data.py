"""Which data sets a training run takes, and which it refuses before its first step."""

from dataclasses import replace
from pathlib import Path

import pytest

from resdet.config import ClsConfig, DataConfig
from resdet.data.records import Classes, Record, pack
from resdet.errors import InputError
from resdet.jobs import training_data

BOX = [(0.0, 0.0, 5.0, 5.0)]
CONFIG = replace(ClsConfig(), data=DataConfig(train="set:t", val="set:v"))


def given(monkeypatch, train, val):
    """Have the two specs name these rows."""
    classes = Classes(("a", "b"), ("a", "b"))
    sets = {"set:t": pack(Path(), classes, train), "set:v": pack(Path(), classes, val)}
    monkeypatch.setattr(training_data, "open_data_set", lambda spec, **_: sets[spec])


def test_images_without_a_box_are_left_out_where_boxes_are_learnt(monkeypatch):
    rows = [Record("1", 0, BOX), Record("2", 1), Record("3", 1, BOX * 2)]
    given(monkeypatch, rows, rows)
    boxed = training_data.open_data(CONFIG, with_boxes=True)
    assert [boxed.train.path(i) for i in range(len(boxed.train))] == ["1", "3"]
    assert len(boxed.val) == 3
    assert len(training_data.open_data(CONFIG).train) == 3


def test_a_box_of_another_class_or_ignored_is_no_object_to_learn_from(monkeypatch):
    """As the sampling of anchors and crops has it: such an image would be all background."""
    both = Record("both", 0, BOX * 2, [1, 0])
    rows = [Record("other", 0, BOX, [1]), both, Record("ignored", 1, BOX, None, [True]), Record("own", 1, BOX)]
    given(monkeypatch, rows, rows)
    holding = replace(CONFIG, augment=replace(CONFIG.augment, keep_object=True))
    train = training_data.open_data(holding, with_boxes=True).train
    assert [train.path(i) for i in range(len(train))] == ["both", "own"]
    assert train[0].box_labels == [0]
    of_classes = training_data.open_data(holding).train  # whose crops hold a box where there is one of their class
    assert of_classes.box_counts().tolist() == [0, 1, 1, 1]


def test_a_classifier_reads_no_xml_of_train_unless_its_crops_are_to_hold_an_object(tmp_path):
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
    for file, text in (
        ("Data/CLS-LOC/train/n01440764/a.JPEG", ""),
        ("Annotations/CLS-LOC/train/n01440764/a.xml", "no XML"),
        ("Annotations/CLS-LOC/val/b.xml", f"<annotation><object><name>n01440764</name>{box}</object></annotation>"),
    ):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(text)
    data = DataConfig(train=f"ilsvrc-loc:{tmp_path}:train_cls", val=f"ilsvrc-loc:{tmp_path}:val")
    config = replace(ClsConfig(), data=data)
    opened = training_data.open_data(config)
    assert (opened.train.labels.tolist(), opened.val.labels.tolist()) == ([0], [0])
    with pytest.raises(InputError, match=r"a\.xml"):
        training_data.open_data(replace(config, augment=replace(config.augment, keep_object=True)))


@pytest.mark.parametrize(
    ("train", "val", "line"),
    [
        ([], [Record("1", 0, BOX)], "set:t: no images with a box"),
        ([Record("1", 0)], [Record("1", 0, BOX)], "set:t: no images with a box"),
        ([Record("1", 0, BOX)], [], "set:v: no images"),
        ([Record("1", 0, BOX), Record("2", -1, BOX)], [Record("1", 0)], "set:t: 1 of 2 images have no class"),
        ([Record("1", 0, BOX)], [Record("1", -1)], "set:v: 1 of 1 images have no class"),
    ],
)
def test_sets_that_cannot_be_learnt_from_are_refused(monkeypatch, train, val, line):
    given(monkeypatch, train, val)
    with pytest.raises(InputError, match=f"^{line}"):
        training_data.open_data(CONFIG, with_boxes=True)
