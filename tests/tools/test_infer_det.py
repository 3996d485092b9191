"""Detectors over folders: every form of output, bad files, ensembles."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from detecting import EVERY, IDS, infer, rows, write_weights
from PIL import Image

from resdet.data.lists import coco_classes
from resdet.data.records import Classes, Record, pack
from resdet.predictions.read import read_det

GOOD = {"b.png": (80, 60), "a-1.png": (60, 90), "a.png": (64, 64)}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs")
    for i, (name, (width, height)) in enumerate(GOOD.items()):
        pixels = np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / name)
    (root / "bad.jpg").write_text("no image")
    return root


@pytest.fixture(scope="module")
def found(photographs, det_weights, tmp_path_factory):
    """All forms of output for the whole folder, made once."""
    out = tmp_path_factory.mktemp("out") / "new"
    assert infer(photographs, "--weights", det_weights, "--out", out, "--format", EVERY) == 0
    return out


def test_every_image_has_a_line_with_boxes_of_its_own_pixels(found, photographs):
    told = {Path(row["file"]).name: row for row in rows(found)}
    assert list(told) == ["a-1.png", "a.png", "b.png", "bad.jpg"]
    assert "no image" not in told["bad.jpg"]["error"]
    assert told["bad.jpg"]["detections"] == []
    for name, (width, height) in GOOD.items():
        row = told[name]
        assert (row["width"], row["height"], row["error"]) == (width, height, None)
        assert 0 < len(row["detections"]) <= 100
        scores = [d["score"] for d in row["detections"]]
        assert scores == sorted(scores, reverse=True)
        assert min(scores) > 0.05
        assert row["detections"][0]["name"] == "the bee"
        boxes = np.array([d["box"] for d in row["detections"]])
        assert (boxes >= 0).all()
        assert (boxes[:, [0, 2]] <= width).all()
        assert (boxes[:, [1, 3]] <= height).all()


def test_every_form_is_read_back_as_the_same_detections(found, photographs):
    names = [*GOOD, "bad.jpg"]
    records = pack(photographs, Classes(IDS, tuple(f"the {i}" for i in IDS)), [Record(name, -1) for name in names])
    forms = ("predictions.jsonl", "predictions.json", "predictions.txt", "predictions")
    first, *others = (ordered(read_det(found / form, records)) for form in forms)
    assert len(first[0]) == sum(len(row["detections"]) for row in rows(found))
    for other in others:
        for column, wanted in zip(other, first, strict=True):
            np.testing.assert_allclose(column, wanted, atol=0.011)


def ordered(predictions):
    order = np.lexsort((-predictions.scores, predictions.labels, predictions.images))
    return [column[order] for column in (predictions.images, predictions.labels, predictions.scores, predictions.boxes)]


def test_coco_results_come_with_their_images_and_categories(found):
    beside = json.loads((found / "images.json").read_text())
    results = json.loads((found / "predictions.json").read_text())
    assert beside["categories"] == [{"id": i, "name": f"the {n}"} for i, n in enumerate(IDS, 1)]
    numbers = {Path(image["file_name"]).name: image["id"] for image in beside["images"]}
    assert numbers == {"a.png": 1, "a-1.png": 2, "b.png": 3, "bad.jpg": 4}, "alphabetical by name, without the ending"
    image = next(image for image in beside["images"] if image["id"] == 3)
    assert (image["width"], image["height"]) == (80, 60)
    assert {result["image_id"] for result in results} == {1, 2, 3}
    lines = (found / "images.txt").read_text().splitlines()
    assert sorted(lines) == ["a 1", "a-1 2", "b 3", "bad 4"]
    assert (found / "classes.txt").read_text() == "".join(f"{n} {i}\n" for i, n in enumerate(IDS, 1))


def test_csv_is_a_row_a_detection(found, photographs):
    with (found / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        header, *table = csv.reader(stream)
    assert header == ["file", "label", "name", "score", "x1", "y1", "x2", "y2"]
    every = [(row["file"], d) for row in rows(found) for d in row["detections"]]
    assert len(table) == len(every)
    for written, (file, detection) in zip(table, every, strict=True):
        assert written[:3] == [file, str(detection["label"]), detection["name"]]
        assert [float(word) for word in written[3:]] == pytest.approx([detection["score"], *detection["box"]], abs=0.01)


def test_voc_has_a_file_for_each_class_and_lines_from_one(found):
    files = sorted(file.name for file in (found / "predictions").iterdir())
    assert files == [f"comp4_det_test_{i}.txt" for i in IDS]
    lines = [line.split() for line in (found / "predictions/comp4_det_test_bee.txt").read_text().splitlines()]
    best = next(row for row in rows(found) if row["file"].endswith("b.png"))["detections"][0]["box"]
    written = [float(word) for word in next(line for line in lines if line[0] == "b")[2:]]
    assert written == pytest.approx([best[0] + 1, best[1] + 1, best[2], best[3]], abs=0.011)


def test_pictures_show_what_is_likely(found, photographs, det_weights, tmp_path):
    assert {file.name for file in (found / "images").iterdir()} == {"a-1.jpg", "a.jpg", "b.jpg"}
    drawn = {}
    for least in ("0.0", "0.5", "1.1"):
        out = tmp_path / least
        words = ("--format", "images", "--draw-above", least, "--score-threshold", 0)
        assert infer(photographs / "b.png", "--weights", det_weights, "--out", out, *words) == 0
        drawn[least] = cv2.imread(str(out / "images/b.jpg")).astype(int)
    plain = cv2.imread(str(photographs / "b.png"))
    plain = cv2.resize(plain, drawn["1.1"].shape[1::-1], interpolation=cv2.INTER_CUBIC).astype(int)
    assert np.abs(drawn["1.1"] - plain).mean() < 12, "nothing is drawn: noise as JPEG"
    assert np.abs(drawn["0.0"] - drawn["1.1"]).mean() > np.abs(drawn["0.5"] - drawn["1.1"]).mean() > 1
    assert np.array_equal(drawn["0.5"], cv2.imread(str(found / "images/b.jpg")).astype(int)), "0.5 is the default"


def test_a_bad_image_can_stop_the_run_and_files_are_whole_all_the_same(photographs, det_weights, tmp_path, capsys):
    files = (photographs / "a.png", photographs / "bad.jpg", photographs / "b.png")
    words = ("--format", EVERY, "--on-bad-image", "fail")
    assert infer(*files, "--weights", det_weights, "--out", tmp_path, *words) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert [Path(row["file"]).name for row in rows(tmp_path)] == ["a.png"]
    assert {result["image_id"] for result in json.loads((tmp_path / "predictions.json").read_text())} == {1}
    assert len(json.loads((tmp_path / "images.json").read_text())["images"]) == 1
    assert (tmp_path / "predictions.txt").read_text().splitlines()


def test_nothing_found_is_whole_files_without_detections(photographs, det_weights, tmp_path):
    words = ("--format", EVERY, "--score-threshold", 1)
    assert infer(photographs, "--weights", det_weights, "--out", tmp_path, *words) == 0
    records = pack(photographs, Classes(IDS, IDS), [Record(name, -1) for name in (*GOOD, "bad.jpg")])
    for form in ("predictions.jsonl", "predictions.json", "predictions.txt", "predictions"):
        assert len(read_det(tmp_path / form, records)) == 0
    assert (tmp_path / "predictions.csv").read_text() == "file,label,name,score,x1,y1,x2,y2\n"
    assert len(list((tmp_path / "images").iterdir())) == 3


def test_threshold_top_k_and_settings_reach_the_detector(photographs, det_weights, tmp_path):
    common = (photographs / "b.png", "--weights", det_weights, "--out", tmp_path, "--format", "jsonl")
    infer(*common)
    every = rows(tmp_path)[0]["detections"]
    infer(*common, "--score-threshold", 0.6)
    assert rows(tmp_path)[0]["detections"] == [d for d in every if d["score"] > 0.6] != []
    infer(*common, "--top-k", 2)
    assert rows(tmp_path)[0]["detections"] == every[:2]
    infer(*common, "--set", "test.refine=true", "test.vote=true", "test.scales=[48, 64, 96]")
    assert rows(tmp_path)[0]["detections"] not in ([], every)


def test_weights_given_again_are_an_ensemble(photographs, det_weights, tmp_path):
    other = write_weights(tmp_path / "other.pt", ("cat", "bee", "ant"), seed=1)
    common = (photographs / "b.png", "--weights", det_weights, "--out", tmp_path, "--format", "jsonl")
    infer(*common)
    alone = rows(tmp_path)[0]["detections"]
    assert infer(*common, "--weights", other) == 0
    together = rows(tmp_path)[0]["detections"]
    assert together[0]["name"] == "the bee"
    assert together != alone


def test_cocos_classes_have_cocos_numbers(photographs, tmp_path):
    names = tuple(coco_classes().values())
    weights = write_weights(tmp_path / "coco.pt", names, lift=9.0)
    assert infer(photographs / "b.png", "--weights", weights, "--out", tmp_path, "--format", "coco") == 0
    categories = json.loads((tmp_path / "images.json").read_text())["categories"]
    assert (len(categories), categories[0]["id"], categories[-1]["id"]) == (80, 1, 90)
    assert {result["category_id"] for result in json.loads((tmp_path / "predictions.json").read_text())} == {1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "xml"), "wanted some of jsonl, csv, coco, voc, devkit, images"),
        (("--classifier", "{weights}"), "--classifier is for localizers"),
        (("--rcnn", "{weights}"), "--rcnn is for localizers"),
        (("--set", "test.refin=true"), "did you mean 'test.refine'"),
        (("--set", "model.proposals=5"), "model.proposals=5: not read by a detector when it is run; did you mean"),
    ],
)
def test_what_cannot_work_is_one_line(words, said, photographs, det_weights, tmp_path, capsys):
    words = [word.format(weights=det_weights) for word in words]
    assert infer(photographs, "--weights", det_weights, "--out", tmp_path / "out", *words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [("--score-threshold", "5"), ("--score-threshold", "nan"), ("--draw-above", "inf")])
def test_scores_are_numbers_from_0_to_1(words, photographs, det_weights, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        infer(photographs, "--weights", det_weights, "--out", tmp_path / "out", *words)
    assert ended.value.code == 2
    assert "wanted a number" in capsys.readouterr().err


def test_vocs_files_want_names_of_one_word(det_weights, photographs, tmp_path, capsys):
    (tmp_path / "my photo.png").write_bytes((photographs / "a.png").read_bytes())
    assert infer(tmp_path, "--weights", det_weights, "--out", tmp_path / "out", "--format", "voc") == 2
    assert "this name has a space in it" in capsys.readouterr().err


def test_files_of_an_earlier_run_in_other_forms_stay_and_are_told(det_weights, photographs, tmp_path, capsys):
    words = (photographs / "a.png", "--weights", det_weights, "--out", tmp_path)
    assert infer(*words, "--format", "jsonl,voc,images") == 0
    assert capsys.readouterr().err == ""
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert infer(*words, "--format", "jsonl,csv") == 0
    (told,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path} holds images and {len(IDS)} more in forms that are not asked for now" in told
    assert before == {file: file.read_bytes() for file in before}
    assert infer(*words, "--format", "jsonl,csv,voc,images") == 0
    assert capsys.readouterr().err == ""
