"""tools/eval_det.py from its arguments to its files, from annotations and lists alone; no image is there."""

import json
import runpy
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from resdet import cli
from resdet.data.formats import open_records
from resdet.data.lists import det_names, det_wnids
from resdet.data.records import Classes, Record, pack
from resdet.eval.det import det_metrics
from resdet.predictions.det import predictions
from resdet.predictions.read import read_det
from resdet.predictions.write import write_det

SCRIPT = Path(__file__).parents[2] / "tools" / "eval_det.py"
EVAL_DET = runpy.run_path(str(SCRIPT))
OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
SIZE = "<size><width>500</width><height>400</height><depth>3</depth></size>"
NAMES = ("ILSVRC2012_val_00000001", "ILSVRC2013_val_00000002", "ILSVRC2012_val_00000003")
ACCORDION, AIRPLANE = det_wnids()[:2]  # 1 and 2 in the development kit


@pytest.fixture
def val(tmp_path):
    """DET's val as far as the evaluation needs it: an accordion and an airplane, an accordion, nothing."""
    annotations, lists = tmp_path / "set/Annotations/DET/val", tmp_path / "set/ImageSets/DET"
    annotations.mkdir(parents=True)
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(NAMES, 1)))
    boxes = (0, 0, 99, 99), (200, 200, 299, 299)
    objects = [[(ACCORDION, boxes[0]), (AIRPLANE, boxes[1])], [(ACCORDION, boxes[0])], []]
    for name, rows in zip(NAMES, objects, strict=True):
        inside = SIZE + "".join(OBJECT.format(wnid, *box) for wnid, box in rows)
        (annotations / f"{name}.xml").write_text(f"<annotation>{inside}</annotation>")
    return tmp_path / "set"


# a hit at an IoU of 0.5; a box on nothing that is surer than the other hit; an airplane where there is none
DEVKIT = "1 1 0.9 0 0 99 49\n3 1 0.8 0 0 99 99\n2 1 0.7 0 0 99 99\n3 2 0.6 0 0 99 99\n"


def evaluate(tmp_path, spec, text, *words):
    """The metrics file, from within this process: starting another one costs seconds."""
    (tmp_path / "p").write_text(text)
    json_file = tmp_path / "new folder" / "metrics.json"
    data = ("--predictions", tmp_path / "p", "--data", spec, "--json", json_file)
    assert cli.run(EVAL_DET["main"], [str(word) for word in (*data, *words)]) == 0
    return json.loads(json_file.read_text())


def test_predictions_are_scored_from_xml_and_the_list_alone(tmp_path, val, capsys):
    metrics = evaluate(tmp_path, f"ilsvrc-det:{val}:val", DEVKIT)
    out = capsys.readouterr().out
    accordion = 100 * (0.5 + 0.5 * 2 / 3)
    assert set(metrics) == {"metric", "images", "mAP", "median_AP", "mAP_all_classes", "per_class"}
    assert (metrics["metric"], metrics["images"]) == ("ilsvrc", 3)
    assert metrics["mAP"] == pytest.approx(accordion / 2)
    assert metrics["median_AP"] == pytest.approx(accordion / 2)
    assert metrics["mAP_all_classes"] == pytest.approx(accordion / 200)
    assert len(metrics["per_class"]) == 200
    assert metrics["per_class"]["accordion"] == pytest.approx(accordion)
    assert metrics["per_class"]["airplane"] == 0
    assert metrics["per_class"][det_names()[2]] is None
    assert "3 images with 3 true boxes" in out
    assert "198 classes without a true box" in out
    assert f"mAP {accordion / 2:.2f}" in out


def test_errors_and_pictures_are_made_where_they_are_asked_for(tmp_path, val, capsys):
    metrics = evaluate(tmp_path, f"ilsvrc-det:{val}:val", DEVKIT, "--errors", "--out", tmp_path / "out")
    assert metrics["errors"]["background"]["count"] == 2
    assert metrics["errors"]["missed"]["count"] == 1
    assert "background" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/eval.json").read_text()) == metrics
    assert cv2.imread(str(tmp_path / "out/pr.png")).shape == (360, 2 * 480, 3)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["confusion.csv", "eval.json", "pr.png"]
    mistakes = [("airplane", "(nothing)"), ("(nothing)", "accordion"), ("(nothing)", "airplane")]
    assert [tuple(one.values()) for one in metrics["confused"]] == [(*pair, 1) for pair in mistakes]


def test_a_blacklist_takes_a_class_out_of_an_image(tmp_path, val, capsys):
    (tmp_path / "black.txt").write_text(f"3 {ACCORDION}\n1 {AIRPLANE}\n")
    metrics = evaluate(tmp_path, f"ilsvrc-det:{val}:val", DEVKIT, "--blacklist", tmp_path / "black.txt", "--errors")
    assert metrics["per_class"]["accordion"] == 100
    assert metrics["per_class"]["airplane"] is None
    assert all(one["true"] != "airplane" for one in metrics["confused"])
    assert "2 pairs of image and class are blacklisted" in capsys.readouterr().out


@pytest.mark.parametrize("metric", ["voc07", "voc12", "coco"])
def test_another_metric_may_be_asked_for(tmp_path, val, metric):
    metrics = evaluate(tmp_path, f"ilsvrc-det:{val}:val", DEVKIT, "--metric", metric, "--out", tmp_path / "out")
    assert metrics["metric"] == metric
    assert ("AP75" in metrics) == (metric == "coco")
    assert 0 < metrics["mAP"] < 50
    assert (tmp_path / "out/pr.png").exists()


def voc_set(folder, year="VOC2012", name="dog"):
    for part in ("Annotations", "ImageSets/Main"):
        (folder / year / part).mkdir(parents=True)
    (folder / year / "Annotations/a.xml").write_text(
        f"<annotation>{SIZE}{OBJECT.format(name, 1, 1, 100, 100)}</annotation>"
    )
    (folder / year / "ImageSets/Main/test.txt").write_text("a\n")
    return f"voc:{folder / year}:test"


@pytest.mark.parametrize(("year", "metric"), [("VOC2007", "voc07"), ("VOC2012", "voc12")])
def test_vocs_folder_of_files_is_scored_by_its_years_rule(tmp_path, year, metric):
    spec = voc_set(tmp_path, year)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/comp4_det_test_dog.txt").write_text("a 0.9 1 1 100 100\n")
    words = ["--predictions", str(tmp_path / "results"), "--data", spec, "--json", str(tmp_path / "m.json")]
    assert cli.run(EVAL_DET["main"], words) == 0
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert (metrics["metric"], metrics["mAP"], metrics["per_class"]["dog"]) == (metric, 100, 100)
    assert metrics["mAP_all_classes"] == 100 / len(metrics["per_class"])


def test_cocos_results_are_scored_with_the_outlines_areas_of_its_annotation(tmp_path):
    content = {
        "images": [{"id": 7, "file_name": "7.jpg", "width": 500, "height": 400}],
        "categories": [{"id": 18, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 18, "bbox": [0, 0, 100, 100], "area": 900.0, "iscrowd": 0},
        ],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    results = [{"image_id": 7, "category_id": 18, "bbox": [0, 0, 100, 100], "score": 0.5}]
    metrics = evaluate(tmp_path, f"coco:{tmp_path}:{tmp_path / 'instances.json'}", json.dumps(results))
    assert metrics["metric"] == "coco"
    assert metrics["AP"] == pytest.approx(100)
    assert metrics["APs"] == pytest.approx(100)  # the outline has 900 pixels, the box 10000
    assert metrics["APl"] is None


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--metric", "voc12", "--blacklist", "none"], 2, "--blacklist is ILSVRC's, the metric is voc12"),
        (["--set", "test.score=0.1"], 2, "--set is for --weights; predictions are as they are"),
        (["--blacklist", "no/such/file"], 1, "no/such/file: cannot be read as a blacklist"),
    ],
)
def test_what_does_not_fit_together_is_one_line(tmp_path, val, capsys, words, code, message):
    (tmp_path / "p").write_text(DEVKIT)
    data = ["--predictions", str(tmp_path / "p"), "--data", f"ilsvrc-det:{val}:val"]
    assert cli.run(EVAL_DET["main"], [*data, *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_bad_line_is_named_in_one_line(tmp_path, val, capsys):
    (tmp_path / "p").write_text("1 1 0.9 0 0 99\n")
    assert cli.run(EVAL_DET["main"], ["--predictions", str(tmp_path / "p"), "--data", f"ilsvrc-det:{val}:val"]) == 1
    assert f"{tmp_path / 'p'}:1: wanted 7 words" in capsys.readouterr().err


def test_the_script_itself_exits_with_its_code():
    def run(*words):
        done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout, done.stderr

    code, out, _ = run("--help")
    assert code == 0
    assert "python tools/eval_det.py --predictions" in out
    code, _, err = run("--predictions", "p", "--data", "ilsvrc-det:no/such/folder:val")
    assert code == 1
    assert err.startswith("eval_det.py: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("spec", "metric"),
    [
        ("voc:{}/bccd/BCCD:test", "voc12"),
        ("coco:{}/coco-mini/train2017:{}/coco-mini/annotations/instances_train2017.json", "coco"),
    ],
)
def test_the_truth_of_real_sets_scores_100_through_their_own_files(tmp_path, data_root, spec, metric):
    spec = spec.format(data_root, data_root)
    records = open_records(spec)
    keep = ~records.box_ignored.numpy()
    images = records.box_images().numpy()[keep]
    found = predictions(images, records.box_labels.numpy()[keep], np.ones(len(images)), records.boxes.numpy()[keep])
    written = write_det(tmp_path / "out", found, records, spec.split(":")[0])
    words = ["--predictions", str(written), "--data", spec, "--json", str(tmp_path / "m.json")]
    assert cli.run(EVAL_DET["main"], words) == 0
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert metrics["metric"] == metric
    assert metrics["mAP"] == pytest.approx(100, abs=0.02)


@pytest.mark.slow
def test_a_million_boxes_on_the_whole_of_det_val_are_read_and_scored_in_half_a_minute(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(1, 20_122):
        corners, sides = rng.integers(0, 300, (number % 6, 2)), rng.integers(5, 200, (number % 6, 2))
        boxes = np.concatenate((corners, corners + sides), axis=1).tolist()
        labels = rng.integers(0, 200, len(boxes)).tolist()
        rows.append(Record(f"ILSVRC2012_val_{number:08d}.JPEG", -1, boxes, labels, size=(500, 500), number=number))
    records = pack(Path("set"), Classes(det_wnids(), det_names(), tuple(range(1, 201))), rows)
    images = records.box_images().numpy()
    source = rng.integers(0, len(images), 1_000_000)
    labels = np.where(
        rng.random(len(source)) < 0.6, records.box_labels.numpy()[source], rng.integers(0, 200, len(source))
    )
    boxes = records.boxes.numpy()[source] + rng.normal(0, 12, (len(source), 4))
    found = predictions(images[source], labels, rng.random(len(source)), boxes)
    file = write_det(tmp_path, found, records, "devkit")
    start = time.perf_counter()
    metrics = det_metrics(read_det(file, records), records, "ilsvrc")
    seconds = time.perf_counter() - start
    assert 5 < metrics["mAP"] < 95
    assert seconds < 30, f"{seconds:.1f} s"
