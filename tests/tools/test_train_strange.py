"""Training on what is in data that nobody has looked at: it ends, and every loss on the way is finite."""

import json
import math
import shutil

import cv2
import numpy as np
import pytest
import tiny_set
import torch
from tiny_voc import draw, specs

from resdet import cli
from resdet.config import ClsConfig, DataConfig
from resdet.data import loading
from resdet.data.records import Classes, Record, Records, pack
from resdet.errors import InputError
from resdet.jobs import training_data

MAINS = {task: tiny_set.main_of(f"train_{task}") for task in ("cls", "loc", "det")}
DET = """
data: {shorter: 48, longer: 96, workers: 0}
model: {backbone: {depth: 18, width: 8}, rpn_channels: 16, anchor_sizes: [24, 40], pool_size: 4, min_side: 4,
        pre_nms: 100, proposals: 30, anchors_per_image: 32, regions_per_image: 8}
train: {epochs: 1, batch_size: 2, lr: 0.01, schedule: cosine, log_every: 1, save_every: 0}
test: {shorter: 48, longer: 96, pre_nms: 100, proposals: 10, min_side: 4, batch_size: 2}
"""
SMALL = """
data: {size: 64, resize: 64, workers: 0}
model: {backbone: {depth: 18, width: 8}%s}
train: {epochs: 1, batch_size: 1, lr: 0.01, schedule: cosine, log_every: 1}
"""
CONFIGS = {"det": DET, "cls": SMALL % "", "loc": SMALL % ", neck: 16, anchor_sizes: [12, 24]"}

STRANGE = {  # stem: width, height, boxes of classes in VOC's pixels, which count from 1, the last included
    "empty0": (60, 48, []),
    "empty1": (60, 48, []),
    "empty2": (60, 48, []),
    "empty3": (60, 48, []),
    "pixel": (60, 48, [("red", 7, 9, 7, 9)]),
    "pixels": (60, 48, [("red", 1, 1, 1, 1), ("green", 60, 48, 60, 48)]),
    "whole": (60, 48, [("green", 1, 1, 60, 48)]),
    "same": (60, 48, [("green", 5, 5, 30, 30)] * 3 + [("red", 5, 5, 30, 30)]),
    "many": (60, 48, [("red", 1 + i % 50, 1 + i % 40, 6 + i % 50, 6 + i % 40) for i in range(200)]),
    "long": (400, 8, [("red", 10, 2, 300, 7)]),
    "tall": (8, 400, [("green", 2, 10, 7, 300)]),
    "tiny": (1, 1, [("red", 1, 1, 1, 1)]),
    "hair": (60, 48, [("green", 3, 1, 3, 48)]),
}


def write_strange(folder):
    """``STRANGE`` as the training list of a set whose class blue has samples in the validation list alone."""
    rng = np.random.default_rng(0)
    for stem, (width, height, boxes) in STRANGE.items():
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / "JPEGImages" / f"{stem}.png"), image)
        size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        objects = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
            "</bndbox></object>"
            for name, x1, y1, x2, y2 in boxes
        )
        (folder / "Annotations" / f"{stem}.xml").write_text(f"<annotation>{size}{objects}</annotation>")
    (folder / "ImageSets/Main/train.txt").write_text("\n".join(STRANGE) + "\n")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The strange detection set, and a labelled one with a class that has no training image and boxes of a pixel."""
    folder = tmp_path_factory.mktemp("strange")
    write_strange(draw(folder / "det"))
    labelled = tiny_set.draw(folder / "labelled")
    empty, boxed = tiny_set.WNIDS[:2]
    for file in (labelled / "train" / empty / "images").iterdir():
        file.unlink()
    (labelled / "train" / empty / f"{empty}_boxes.txt").write_text("")
    rows = [f"{boxed}_{i}.JPEG\t{20 * i}\t{20 * i}\t{20 * i}\t{20 * i}" for i in range(tiny_set.TRAIN_IMAGES)]
    (labelled / "train" / boxed / f"{boxed}_boxes.txt").write_text("\n".join(rows) + "\n")
    for task, text in CONFIGS.items():
        (folder / f"{task}.yaml").write_text(text)
    return folder


def train(folder, task, out, *words):
    named = specs(folder / "det") if task == "det" else tiny_set.specs(folder / "labelled")
    words = [folder / f"{task}.yaml", *named, "--out", out, *words]
    code = cli.run(MAINS[task], [str(word) for word in words])
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()] if code == 0 else []
    return code, [row for row in rows if "loss" in row]


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("inside", [False, True], ids=["all anchors", "anchors within the image alone"])
def test_a_detector_learns_from_strange_images(folder, tmp_path, batch_size, inside):
    words = (f"train.batch_size={batch_size}", f"model.inside_anchors={str(inside).lower()}")
    code, rows = train(folder, "det", tmp_path, *words)
    assert code == 0
    assert len(rows) == len(STRANGE) // batch_size
    assert all(isinstance(row["loss"], float) and math.isfinite(row["loss"]) for row in rows)


def test_whole_batches_without_an_object_are_learnt_from(folder, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(folder / "det", root)
    stems = [stem for stem, (*_, boxes) in STRANGE.items() if not boxes]
    (root / "ImageSets/Main/train.txt").write_text("\n".join([*stems, "whole"]) + "\n")
    words = [folder / "det.yaml", *specs(root), "train.epochs=3", "--out", tmp_path / "out"]
    assert cli.run(MAINS["det"], [str(word) for word in words]) == 0
    lines = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    boxes = [row["loss/box"] for row in lines if "loss/box" in row]
    assert 0.0 in boxes, "no batch was without an object"


@pytest.mark.parametrize("task", ["cls", "loc"])
def test_a_batch_of_one_a_class_without_samples_and_boxes_of_a_pixel(folder, tmp_path, task):
    code, rows = train(folder, task, tmp_path)
    assert code == 0
    assert len(rows) == 2 * tiny_set.TRAIN_IMAGES
    assert all(isinstance(row["loss"], float) and math.isfinite(row["loss"]) for row in rows)


def test_a_batch_that_batch_norm_cannot_learn_from_is_one_line(folder, tmp_path, capsys):
    assert train(folder, "cls", tmp_path, "data.size=32", "data.resize=32")[0] == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 image of 32x32 leave one value a channel" in line
    assert (
        train(folder, "cls", tmp_path / "frozen", "data.size=32", "data.resize=32", "train.batch_norm=frozen")[0] == 0
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Record("a/b.jpg", 2, [(0, 0, 5, 5)]), "set:t: a/b.jpg has label 2, there are 2 classes"),
        (Record("a/b.jpg", 1, [(0, 0, 5, 5)], [7]), "set:t: a/b.jpg has label 7, there are 2 classes"),
        (Record("a/b.jpg", 1, [(0, 0, 5, 5)], [-1]), "set:t: a/b.jpg has label -1, there are 2 classes"),
    ],
)
def test_a_label_without_a_class_is_found_before_the_first_step(monkeypatch, tmp_path, row, said):
    classes = Classes(("a", "b"), ("a", "b"))
    good = Record("good.jpg", 1, [(0, 0, 5, 5)])
    sets = {"set:t": pack(tmp_path, classes, [good, row]), "set:v": pack(tmp_path, classes, [good])}
    monkeypatch.setattr(training_data, "open_data_set", lambda spec, **_: sets[spec])
    with pytest.raises(InputError, match=f"^{said}$"):
        training_data.open_data(ClsConfig(data=DataConfig(train="set:t", val="set:v")))


def test_a_loader_worker_that_is_killed_ends_training_with_a_line(folder, tmp_path, capsys, monkeypatch):
    plain = Records.open

    def dying(self, index):
        if torch.utils.data.get_worker_info() is not None:
            import os

            os.kill(os.getpid(), 9)
        return plain(self, index)

    monkeypatch.setattr(loading.Records, "open", dying)
    assert train(folder, "cls", tmp_path, "data.workers=1")[0] == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "a loader worker was killed" in line
    assert "lower data.workers" in line
