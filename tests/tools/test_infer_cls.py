"""tools/infer.py with classifiers: the classes of photographs, each with the whole image for its box."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_set import draw, run

from resdet.build import build_classifier, open_model
from resdet.config import ClsConfig, to_dict
from resdet.data.stored_image import open_image
from resdet.data.views import centre
from resdet.engine import checkpoint
from resdet.settings import override

ORDER = ("n01", "n02", "n03")


def rows(out):
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set of the classes that the tiny networks know."""
    return draw(tmp_path_factory.mktemp("set") / "set", wnids=ORDER)


def errors(folder, tmp_path, *words):
    assert run("eval_cls", *words, "--data", f"tiny-imagenet:{folder}:val", "--json", tmp_path / "e.json") == 0
    metrics = json.loads((tmp_path / "e.json").read_text())
    return metrics["top1_error"], metrics["top5_error"]


def test_the_probabilities_of_the_centre_crop_and_the_whole_image(folder, loc_weights, tmp_path):
    """The image is drawn as large as the crop: then the crop is the image, and the answer the network's."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels[:, :, ::-1])
    (tmp_path / "b.jpg").write_text("no image")
    weights = as_classifier(loc_weights, tmp_path)
    assert run("infer", "--weights", weights, tmp_path, "--out", tmp_path / "out", "--format", "jsonl,images") == 0
    seen, unread = rows(tmp_path / "out")
    with torch.no_grad():
        expected = open_model(weights).model.logits(torch.from_numpy(pixels).permute(2, 0, 1)[None]).softmax(1)[0]
    assert (seen["width"], seen["height"], seen["error"]) == (32, 32, None)
    assert [d["label"] for d in seen["detections"]] == expected.argsort(descending=True).tolist()
    assert [d["score"] for d in seen["detections"]] == pytest.approx(sorted(expected.tolist(), reverse=True), abs=1e-5)
    assert all(d["box"] == [0, 0, 32, 32] for d in seen["detections"])
    assert (unread["detections"], "wanted an image" in unread["error"]) == ([], True)
    assert cv2.imread(str(tmp_path / "out/images/a.jpg")).shape[:2] == (384, 384)
    assert not (tmp_path / "out/images/b.jpg").exists()


def as_classifier(loc_weights, folder):
    """A localizer's classifier as a checkpoint of its own, which does not say the same of every image."""
    torch.manual_seed(5)
    saved = open_model(loc_weights)
    state = {name.removeprefix("backbone."): v for name, v in saved.model.state_dict().items() if "backbone" in name}
    words = [f"model.backbone.{w}" for w in ("depth=18", "stem=3x3")] + ["data.size=32", "data.resize=32"]
    config = override(ClsConfig, {}, (*words, "data.workers=0", "test.batch_size=4"), "test")
    model = build_classifier(config, 3)
    model.backbone.load_state_dict(state)
    torch.nn.init.normal_(model.backbone.fc.weight, std=0.5)
    file = folder / "classifier.pt"
    ids, names = saved.classes.ids, saved.classes.names
    checkpoint.save(file, checkpoint.Checkpoint("cls", to_dict(config), ids, names, 1, model.state_dict()))
    return file


@pytest.mark.parametrize("words", [(), ("--set", "test.protocol=10-crop", "data.resize=40")])
@pytest.mark.parametrize(("form", "file"), [("jsonl", "predictions.jsonl"), ("csv", "predictions.csv")])
def test_what_it_writes_has_the_errors_of_evaluation(folder, loc_weights, tmp_path, form, file, words):
    weights = as_classifier(loc_weights, tmp_path)
    images = folder / "val/images"
    assert run("infer", "--weights", weights, images, "--out", tmp_path / "out", "--format", form, *words) == 0
    found = errors(folder, tmp_path, "--predictions", tmp_path / "out" / file)
    assert found == errors(folder, tmp_path, "--weights", weights, *words)
    assert found[1] == 0  # three classes


def test_several_are_averaged_whatever_the_order_of_their_classes(folder, loc_weights, cls_weights, tmp_path):
    """The second is a localizer, whose classifier is taken; the first's labels go from the last class to the first."""
    both = ("--weights", cls_weights, "--weights", loc_weights)
    assert run("infer", *both, folder / "val/images", "--out", tmp_path / "out", "--format", "jsonl") == 0
    first = torch.tensor([1.0, 3.0, 2.0]).softmax(0)
    model = open_model(loc_weights).model
    for row in rows(tmp_path / "out"):
        crop = open_image(Path(row["file"])).view(centre(64, 64, 32, 32))
        with torch.no_grad():
            second = model.logits(torch.from_numpy(crop).permute(2, 0, 1)[None]).softmax(1)[0]
        expected = (first + second.flip(0)) / 2
        assert [d["label"] for d in row["detections"]] == expected.argsort(descending=True).tolist()
        assert [d["name"] for d in row["detections"]] == ["dog", "cat", "hot dog"]
        assert [d["score"] for d in row["detections"]] == pytest.approx(expected[[1, 2, 0]].tolist(), abs=1e-5)


def test_how_many_classes_and_how_probable(folder, cls_weights, tmp_path):
    common = ("--weights", cls_weights, folder / "val/images", "--out", tmp_path, "--format", "jsonl")
    for words, names in (
        (("--top-k", 2), ["dog", "cat"]),
        (("--score-threshold", 0.3), ["dog"]),
        (("--score-threshold", 1), []),
        (("--top-k", 1000), ["dog", "cat", "hot dog"]),
    ):
        assert run("infer", *common, *words) == 0
        assert all([d["name"] for d in row["detections"]] == names for row in rows(tmp_path))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--classifier", "{cls}"), "--classifier is for localizers: {cls} is a classifier"),
        (("--rcnn", "{cls}"), "--rcnn is for localizers: {cls} is a classifier"),
        (("--format", "coco"), "--format coco is made for detection, these weights classify: jsonl, csv"),
        (("--format", "voc"), "--format voc is made for detection, these weights classify"),
        (("--weights", "{det}"), "a detector, which says nothing of an image as a whole: wanted a classifier"),
    ],
)
def test_what_does_not_fit_a_classifier_is_one_line(words, said, folder, cls_weights, det_weights, tmp_path, capsys):
    places = {"cls": cls_weights, "det": det_weights}
    given = [word.format(**places) for word in words]
    assert run("infer", "--weights", cls_weights, folder, "--out", tmp_path / "out", *given) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said.format(**places) in lines[0]
    assert not (tmp_path / "out").exists()


def test_one_that_has_diverged_is_one_line(folder, cls_weights, tmp_path, capsys):
    saved = checkpoint.load(cls_weights)
    saved.model["backbone.fc.bias"].fill_(float("nan"))
    checkpoint.save(tmp_path / "nan.pt", saved)
    assert run("infer", "--weights", tmp_path / "nan.pt", folder, "--out", tmp_path / "out", "--format", "jsonl") == 1
    assert len([line for line in capsys.readouterr().err.splitlines() if "finite" in line]) == 1
