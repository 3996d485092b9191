"""Where the scripts may not write: over what they read, and into a file as if it were a folder."""

import runpy
from pathlib import Path

import pytest

from resdet import cli

ROOT = Path(__file__).parents[2]
OVER = {  # {0}: the folder below; the last word is the file that would be lost
    "export.py, weights": "tools/export.py --weights {0}/w.pt --out {0}/w.pt",
    "export.py, another's": "tools/export.py --weights torchvision:X={0}/w.onnx --out {0}/w.onnx",
    "eval_cls.py, lists": "tools/eval_cls.py --weights a --data voc:{0}:val --json {0}/ImageSets/Main/val.txt",
    "eval_loc.py, blacklist": "tools/eval_loc.py --predictions p --data voc:{0}:val --blacklist {0}/b --json {0}/b",
    "eval_loc.py, XML": "tools/eval_loc.py --weights a --data voc:{0}:val --html {0}/Annotations/1.xml",
    "eval_det.py, COCO": "tools/eval_det.py --weights a --data coco:{0}:{0}/coco.json --json {0}/coco.json",
    "eval_det.py, VOC": "tools/eval_det.py --predictions {0}/d --data voc:{0}:val --json {0}/d/comp4_det_test_a.txt",
    "eval_det.py, names": "tools/eval_det.py --predictions {0}/p --data voc:/none:val --json {0}/images.json",
    "ablate_det.py, COCO": "tools/ablate_det.py --weights a --data coco:{0}:coco.json --json {0}/coco.json",
    "ablate_loc.py, blacklist": "tools/ablate_loc.py --pcr a --data voc:{0}:val --blacklist {0}/b --json {0}/b",
    "check_data.py, COCO": "tools/check_data.py coco:{0}:coco.json --json {0}/coco.json",
    "check_data.py, config": "tools/check_data.py voc:{0}:val --config {0}/b --html {0}/b",
    "check_data.py, images": "tools/check_data.py voc:{0}:val --html {0}/JPEGImages/1.jpg",
    "plot_runs.py, metrics": "tools/plot_runs.py {0}/run --out {0}/new.png --json {0}/run/metrics.jsonl",
    "color_statistics.py": "datasets/color_statistics.py cifar10:{0}:train --out {0}/data_batch_1.bin",
}
INTO = {
    "train_cls.py": "tools/train_cls.py {1}/configs/cls/shapes.yaml --out {0}/b",
    "train_det.py": "tools/train_det.py {1}/configs/det/bccd_r18.yaml --out {0}/b",
    "train_loc.py": "tools/train_loc.py {1}/configs/loc/shapes.yaml --out {0}/b/new",
    "train_rcnn.py": "tools/train_rcnn.py {1}/configs/rcnn/shapes.yaml --out {0}/b",
    "eval_cls.py": "tools/eval_cls.py --weights a --data voc:{0}:val --out {0}/b",
    "eval_loc.py": "tools/eval_loc.py --weights a --data voc:{0}:val --json {0}/b/new.json",
    "infer.py": "tools/infer.py --weights a {0}/JPEGImages --out {0}/b",
    "export.py": "tools/export.py --weights a --out {0}/b/new.onnx",
    "check_data.py": "tools/check_data.py voc:{0}:val --fix {0}/b/new",
    "make_shapes.py": "datasets/make_shapes.py --train 1 --val 1 --out {0}/b",
    "prepare_imagenet.py": "datasets/prepare_imagenet.py {0} --out {0}/b",
}
STARTS = {"cls/shapes": "model.backbone", "loc/shapes": "model", "rcnn/shapes": "proposals", "det/bccd_r18": "model"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "datasets"))
    files = ("w.pt", "w.onnx", "b", "p", "images.json", "JPEGImages/1.jpg", "Annotations/1.xml", "data_batch_1.bin")
    for name in (*files, "ImageSets/Main/val.txt", "d/comp4_det_test_a.txt", "run/metrics.jsonl", "coco.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("as it was")
    return tmp_path


def run(command, place):
    script, *words = (word.format(place, ROOT) for word in command.split())
    return cli.run(runpy.run_path(str(ROOT / script))["main"], words)


@pytest.mark.parametrize("command", OVER.values(), ids=OVER.keys())
def test_nothing_is_written_over_what_is_read(command, place, capsys):
    before = {file: file.read_text() for file in place.rglob("*") if file.is_file()}
    assert run(command, place) == 2
    lost = command.split()[-1].format(place)
    assert capsys.readouterr().err.endswith(f"{lost}: is read, and would be lost if the results were written there\n")
    assert {file: file.read_text() for file in place.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("command", INTO.values(), ids=INTO.keys())
def test_a_file_is_no_folder_for_results(command, place, capsys):
    assert run(command, place) == (1 if "make_shapes.py" in command else 2)
    assert capsys.readouterr().err.endswith(f"{place}/b: a file, where a folder is wanted\n")


def test_a_result_of_an_earlier_run_in_the_data_set_s_folder_is_replaced(place, capsys):
    (place / "eval.json").write_text("{}")
    assert run("tools/eval_cls.py --predictions {0}/p --data voc:{0}:val --json {0}/eval.json", place)
    assert "is read" not in capsys.readouterr().err  # it ends for another reason: there is no such data set


@pytest.mark.parametrize("config, key", STARTS.items())
def test_a_run_does_not_write_over_the_weights_that_it_starts_from(config, key, tmp_path, capsys):
    (tmp_path / "best.pt").write_text("as it was")
    task = config.partition("/")[0]
    assert (
        run(f"tools/train_{task}.py {{1}}/configs/{config}.yaml {key}.weights={{0}}/best.pt --out {{0}}", tmp_path) == 2
    )
    assert f"{key}.weights={tmp_path}/best.pt: this run would write over it" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["best.pt"]


@pytest.mark.parametrize("script", ["make_shapes.py", "prepare_imagenet.py a"])
def test_an_empty_word_is_no_folder_to_draw_or_unpack_into(script, place, capsys):
    name, *words = script.split()
    main = runpy.run_path(str(ROOT / "datasets" / name))["main"]
    with pytest.raises(SystemExit, match="2"):
        cli.run(main, [*words, "--out", ""])
    assert "wanted a folder, got ''" in capsys.readouterr().err


def test_an_empty_word_is_no_input(place, capsys):
    main = runpy.run_path(str(ROOT / "tools" / "infer.py"))["main"]
    assert cli.run(main, ["", "--weights", "a", "--out", str(place / "new")]) == 2
    assert "'': wanted an image, a folder or a glob" in capsys.readouterr().err
