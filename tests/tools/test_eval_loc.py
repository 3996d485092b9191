import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resdet import cli

SCRIPT = Path(__file__).parents[2] / "tools" / "eval_loc.py"
EVAL_LOC = runpy.run_path(str(SCRIPT))
OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
NAMES = [f"ILSVRC2012_val_{number:08d}" for number in (1, 2, 3, 4)]
KIT_FOX = "n02119789"  # 1 in the development kit, 279 in LOC_synset_mapping.txt


@pytest.fixture
def val(tmp_path):
    """The val set's annotations and nothing else: four kit foxes, each from 0 to 9."""
    annotations, lists = tmp_path / "set/Annotations/CLS-LOC/val", tmp_path / "set/ImageSets/CLS-LOC"
    annotations.mkdir(parents=True)
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(NAMES, 1)))
    for name in NAMES:
        size = "<size><width>50</width><height>40</height><depth>3</depth></size>"
        (annotations / f"{name}.xml").write_text(f"<annotation>{size}{OBJECT.format(KIT_FOX, 0, 0, 9, 9)}</annotation>")
    return tmp_path / "set"


def evaluate(tmp_path, val, text, *words):
    """The metrics file, from within this process: starting another one costs seconds."""
    (tmp_path / "p").write_text(text)
    json_file = tmp_path / "new folder" / "metrics.json"
    data = ("--predictions", tmp_path / "p", "--data", f"ilsvrc-loc:{val}:val", "--json", json_file)
    assert cli.run(EVAL_LOC["main"], [str(word) for word in (*data, *words)]) == 0
    return json.loads(json_file.read_text())


DEVKIT = "1 0 0 9 4\n1 5 5 9 9\n2 0 0 9 9\n2 20 20 29 29\n"  # a hit at IoU 0.5; then wrong box, wrong class, both


def test_predictions_are_scored_from_xml_and_the_list_alone(tmp_path, val, capsys):
    metrics = evaluate(tmp_path, val, DEVKIT, "--out", tmp_path / "out")
    out = capsys.readouterr().out
    assert (metrics["images"], metrics["blacklisted"]) == (4, 0)
    assert (metrics["cls_top1_error"], metrics["cls_top5_error"]) == (50, 50)
    assert (metrics["loc_top1_error"], metrics["loc_top5_error"]) == (75, 75)
    assert metrics["gt_class_loc_error"] is None
    assert metrics["errors"] == {"correct": 25, "class_wrong": 25, "box_wrong": 25, "both_wrong": 25}
    assert set(metrics["top_k"]) == set("12345")
    assert metrics["ci95"]["loc_top5_error"][0] < 75
    assert json.loads((tmp_path / "out" / "eval.json").read_text()) == metrics
    assert "75.00" in out
    assert "box wrong 25.00" in out


def test_kaggles_form_gives_the_same_numbers_and_a_blacklist_takes_images_out(tmp_path, val):
    rows = [f"{KIT_FOX} 0 0 9 4", "279 5 5 9 9", "280 0 0 9 9", "280 20 20 29 29"]
    csv = "ImageId,PredictionString\n" + "".join(f"{n},{r}\n" for n, r in zip(NAMES, rows, strict=True))
    (tmp_path / "black.txt").write_text("3\n4\n")
    assert evaluate(tmp_path, val, csv) == evaluate(tmp_path, val, DEVKIT, "--blacklist", "none")
    metrics = evaluate(tmp_path, val, csv, "--blacklist", tmp_path / "black.txt")
    assert (metrics["blacklisted"], metrics["loc_top5_error"], metrics["cls_top5_error"]) == (2, 50, 50)
    assert metrics["gt_class_loc_error"] == 50  # of both images that count the class was guessed


def test_a_failure_is_one_line_and_a_traceback_only_when_asked_for(tmp_path, val, capsys):
    (tmp_path / "p").write_text("1 0 0 9 9\n")
    words = ["--predictions", str(tmp_path / "p"), "--data", f"ilsvrc-loc:{val}:val"]
    assert cli.run(EVAL_LOC["main"], words) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(f": {tmp_path / 'p'}: wanted a line for each of the 4 images, got 1 lines\n")
    assert err.count("\n") == 1
    assert cli.run(EVAL_LOC["main"], [*words, "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def run_script(*words):
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def test_the_script_itself_exits_with_its_code():
    code, out, _ = run_script("--help")
    assert code == 0
    assert "python tools/eval_loc.py --predictions" in out
    code, _, err = run_script("--predictions", "p")
    assert code == 2
    assert "--data" in err
    code, _, err = run_script("--predictions", "p", "--data", "ilsvrc-loc:no/such/folder:val")
    assert code == 1
    assert err.startswith("eval_loc.py: ")
    assert err.count("\n") == 1


def test_the_real_val_sets_first_images_have_the_devkits_labels_and_boxes(tmp_path, data_root):
    source, ids = data_root / "ilsvrc-val-1to8", data_root / "ilsvrc-metadata" / "clsloc_val_ground_truth_ids.txt"
    if not (source.is_dir() and ids.is_file()):
        pytest.skip("ilsvrc-val-1to8 or ilsvrc-metadata is not in RESDET_DATA")
    shutil.copytree(source / "Annotations", tmp_path / "set/Annotations/CLS-LOC/val")
    (tmp_path / "set/ImageSets/CLS-LOC").mkdir(parents=True)
    names = sorted(file.stem for file in (source / "Annotations").iterdir())
    (tmp_path / "set/ImageSets/CLS-LOC/val.txt").write_text("".join(f"{n} {i}\n" for i, n in enumerate(names, 1)))
    labels = ids.read_text().split()[: len(names)]
    assert labels[0] == "490"
    text = "".join(f"{label} 111 108 441 193\n" for label in labels)  # the first image's box, for every image
    metrics = evaluate(tmp_path, tmp_path / "set", text)
    assert metrics["cls_top1_error"] == 0
    (tmp_path / "rest.txt").write_text("".join(f"{i}\n" for i in range(2, len(names) + 1)))
    metrics = evaluate(tmp_path, tmp_path / "set", text, "--blacklist", tmp_path / "rest.txt")
    assert metrics["loc_top1_error"] == 0
