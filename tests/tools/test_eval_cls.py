import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from resdet import cli
from resdet.build import build_classifier, open_model
from resdet.config import ClsConfig, override, to_dict
from resdet.data.image import load_image
from resdet.data.records import Classes, Record, pack
from resdet.data.relabel import label_map, relabel
from resdet.engine.checkpoint import Checkpoint, save
from resdet.errors import InputError

EVAL_CLS = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "eval_cls.py"))


def make_set(root, images, mapping):
    """A val set of 32x32 noise; ``images`` are (name, class)."""
    for folder in ("Data", "Annotations"):
        (root / folder / "CLS-LOC/val").mkdir(parents=True)
    (root / "ImageSets/CLS-LOC").mkdir(parents=True)
    (root / "LOC_synset_mapping.txt").write_text("".join(f"{wnid} {wnid}\n" for wnid in mapping))
    (root / "ImageSets/CLS-LOC/val.txt").write_text("".join(f"{name} 1\n" for name, _ in images))
    for i, (name, wnid) in enumerate(images):
        pixels = np.random.default_rng(i).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"Data/CLS-LOC/val/{name}.JPEG", format="PNG")
        box = "<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>31</xmax><ymax>31</ymax></bndbox>"
        size = "<size><width>32</width><height>32</height></size>"
        text = f"<annotation>{size}<object><name>{wnid}</name>{box}</object></annotation>"
        (root / f"Annotations/CLS-LOC/val/{name}.xml").write_text(text)
    return f"ilsvrc-loc:{root}:val"


IMAGES = [("a", "n02"), ("b", "n01"), ("c", "n02"), ("d", "n03")]


def evaluate(*words):
    return cli.run(EVAL_CLS["main"], [str(word) for word in words])


def test_a_classifier_that_always_says_n02_is_wrong_on_the_rest(cls_weights, tmp_path, capsys):
    spec = make_set(tmp_path / "set", IMAGES, ["n01", "n02", "n03"])
    json_file = tmp_path / "new" / "eval.json"
    assert evaluate("--weights", cls_weights, "--data", spec, "--json", json_file) == 0
    metrics = json.loads(json_file.read_text())
    assert {key: metrics[key] for key in ("images", "top1_error", "top5_error", "protocol")} == {
        "images": 4,
        "top1_error": 50.0,
        "top5_error": 0.0,
        "protocol": "1-crop",
    }
    low, high = metrics["ci95"]["top1_error"]
    assert low < 50 < high
    assert "50.00" in (out := capsys.readouterr().out)
    assert sum(one["count"] for one in metrics["confused"]) == 2
    assert {one["found"] for one in metrics["confused"]} == {"n02"}
    assert "most often taken for another: n0" in out


def test_guesses_are_written_and_score_the_same_from_there(cls_weights, tmp_path):
    spec = make_set(tmp_path / "set", IMAGES, ["n01", "n02", "n03"])
    assert evaluate("--weights", cls_weights, "--data", spec, "--out", tmp_path / "out") == 0
    metrics = json.loads((tmp_path / "out" / "eval.json").read_text())
    for name in ("predictions.txt", "predictions.csv", "predictions.numbers.csv"):
        again = tmp_path / "again.json"
        assert evaluate("--predictions", tmp_path / "out" / name, "--data", spec, "--json", again) == 0
        assert json.loads(again.read_text())["top1_error"] == metrics["top1_error"] == 50.0
    assert (tmp_path / "out" / "confusion.csv").read_text().splitlines()[0] == "true \\ found,n01,n02,n03,(nothing)"
    assert (tmp_path / "out" / "predictions.txt").read_text().splitlines()[0].split()[1:5] == ["0", "0", "31", "31"]


def test_a_file_that_cannot_be_written_is_told_before_the_work(cls_weights, tmp_path, capsys):
    assert evaluate("--weights", "nowhere.pt", "--data", "tiny-imagenet:nowhere:val", "--json", tmp_path) == 2
    assert "a folder, where a file is to be written" in capsys.readouterr().err


def test_the_order_of_the_data_sets_classes_does_not_matter(cls_weights, tmp_path):
    errors = []
    for i, mapping in enumerate((["n01", "n02", "n03"], ["n02", "n03", "n01"])):
        spec = make_set(tmp_path / str(i), [("a", "n02"), ("b", "n02")], mapping)
        assert evaluate("--weights", cls_weights, "--data", spec, "--json", tmp_path / "j") == 0
        errors.append(json.loads((tmp_path / "j").read_text())["top1_error"])
    assert errors == [0, 0]


def test_a_localizers_own_classifier_is_evaluated(loc_weights, tmp_path):
    spec = make_set(tmp_path / "set", IMAGES, ["n01", "n02", "n03"])
    assert evaluate("--weights", loc_weights, "--data", spec, "--json", tmp_path / "j", "--batch-size", 3) == 0
    loaded = open_model(loc_weights)
    wrong = 0
    for name, wnid in IMAGES:  # the crop is the whole image, so nothing is cut or resized
        pixels = torch.from_numpy(load_image(tmp_path / f"set/Data/CLS-LOC/val/{name}.JPEG")).permute(2, 0, 1)[None]
        with torch.inference_mode():
            wrong += loaded.classes.ids[int(loaded.model.logits(pixels).argmax())] != wnid
    assert json.loads((tmp_path / "j").read_text())["top1_error"] == 100 * wrong / len(IMAGES)


def test_other_classes_than_the_weights_are_refused_by_name(cls_weights, tmp_path, capsys):
    spec = make_set(tmp_path / "set", [("a", "n02")], ["n01", "n02", "n04"])
    assert evaluate("--weights", cls_weights, "--data", spec) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert f"{cls_weights}: of the 3 classes of {tmp_path / 'set'} it lacks 1, the first is 'n04'" in err


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_one_line_also_from_a_worker(cls_weights, tmp_path, capsys, workers):
    spec = make_set(tmp_path / "set", IMAGES, ["n01", "n02", "n03"])
    bad = tmp_path / "set/Data/CLS-LOC/val/b.JPEG"
    bad.write_text("no image")
    assert evaluate("--weights", cls_weights, "--data", spec, "--workers", workers) == 1
    err = capsys.readouterr().err
    assert err.strip().endswith(f"{bad}: wanted an image, got something else or a damaged header")
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1


def test_labels_are_carried_by_id_and_unknown_stays_unknown():
    given, wanted = Classes(("a", "b", "c"), ("A", "B", "C")), Classes(("c", "a", "b"), ("C", "A", "B"))
    assert label_map(given, wanted, "set", "weights").tolist() == [1, 2, 0]
    rows = [Record("x", 0, [(0, 0, 1, 1)]), Record("y", -1), Record("z", 2, [(0, 0, 1, 1), (0, 0, 2, 2)], [1, 2])]
    new = relabel(pack(Path("set"), given, rows), wanted, "weights")
    assert [wanted.ids[i] if i >= 0 else None for i in new.labels.tolist()] == ["a", None, "c"]
    assert [wanted.ids[i] for i in new.box_labels.tolist()] == ["a", "b", "c"]
    assert new.classes == wanted
    with pytest.raises(InputError, match="set: of the 4 classes of weights it lacks 1, the first is 'd'"):
        label_map(given, Classes(("a", "b", "c", "d"), ("A", "B", "C", "D")), "set", "weights")


def test_a_predictions_file_scores_as_counted_by_hand(tmp_path, capsys):
    root = tmp_path / "set"
    (root / "Annotations/CLS-LOC/val").mkdir(parents=True)
    (root / "ImageSets/CLS-LOC").mkdir(parents=True)
    (root / "LOC_synset_mapping.txt").write_text("".join(f"n0{i} c{i}\n" for i in range(1, 8)))
    (root / "ImageSets/CLS-LOC/val.txt").write_text("a 1\nb 2\nc 3\nd 4\n")
    box = "<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    for name in "abcd":
        text = f"<annotation><object><name>n01</name>{box}</object></annotation>"
        (root / f"Annotations/CLS-LOC/val/{name}.xml").write_text(text)
    rows = {"a": "n01", "b": "n02 n01", "c": "n02 n03 n04 n05 n06 n01", "d": ""}  # right; second; sixth is cut; none
    lines = [f"{name}," + " ".join(f"{c} 0 0 9 9" for c in guesses.split()) for name, guesses in rows.items()]
    file = tmp_path / "loc.csv"
    file.write_text("ImageId,PredictionString\n" + "\n".join(lines) + "\n")
    out = tmp_path / "metrics.json"
    words = ["--predictions", file, "--data", f"ilsvrc-loc:{root}:val", "--json", out]
    assert cli.run(EVAL_CLS["main"], [str(word) for word in words]) == 0
    metrics = json.loads(out.read_text())
    assert (metrics["images"], metrics["top1_error"], metrics["top5_error"]) == (4, 75.0, 50.0)
    assert metrics["protocol"] == "predictions"


def errors_of(tmp_path, *words):
    assert evaluate(*words, "--json", tmp_path / "protocol.json") == 0
    return json.loads((tmp_path / "protocol.json").read_text())


@pytest.mark.parametrize(
    ("weights", "protocol"), [("cls_weights", "10-crop"), ("cls_weights", "dense"), ("loc_weights", "dense")]
)
def test_every_protocol_is_named_in_the_metrics(weights, protocol, tmp_path, request, capsys):
    spec = make_set(tmp_path / "set", IMAGES, ["n01", "n02", "n03"])
    file = request.getfixturevalue(weights)
    scales = "test.scales=[32, 40]"
    metrics = errors_of(tmp_path, "--weights", file, "--data", spec, "--protocol", protocol, "--set", scales)
    assert (metrics["protocol"], metrics["images"], metrics["networks"]) == (protocol, 4, 1)
    if weights == "cls_weights":
        assert (metrics["top1_error"], metrics["top5_error"]) == (50.0, 0.0)  # n02 of every view
    assert f"4 images, {protocol}; errors in %" in capsys.readouterr().out


def test_the_weights_own_protocol_is_taken_where_none_is_asked_for(cls_weights, tmp_path):
    spec = make_set(tmp_path / "set", IMAGES, ["n01", "n02", "n03"])
    words = ["--weights", cls_weights, "--data", spec, "--set", "test.protocol=10-crop"]
    assert errors_of(tmp_path, *words)["protocol"] == "10-crop"
    assert errors_of(tmp_path, *words, "--protocol", "1-crop")["protocol"] == "1-crop"


def saying(file, ids, logits):
    """A small classifier that gives every image these logits, its classes in this order."""
    words = ("data.size=32", "data.resize=32", "data.workers=0", "model.backbone.depth=18", "model.backbone.width=8")
    config = override(ClsConfig, {}, words, "test")
    model = build_classifier(config, len(ids))
    torch.nn.init.zeros_(model.backbone.fc.weight)
    with torch.no_grad():
        model.backbone.fc.bias.copy_(torch.tensor(logits))
    save(file, Checkpoint("cls", to_dict(config), ids, ids, 1, model.state_dict()))
    return file


def test_an_ensemble_averages_probabilities_by_class_id_worked_by_hand(tmp_path, capsys):
    # shares of n01, n02, n03: 0.5 0.3 0.2, then 0.1 0.3 0.6, then 0.1 0.6 0.3
    rows = {"a": (("n01", "n02", "n03"), (0.5, 0.3, 0.2)), "b": (("n03", "n01", "n02"), (0.6, 0.1, 0.3))}
    files = [saying(tmp_path / f"{name}.pt", ids, np.log(shares).tolist()) for name, (ids, shares) in rows.items()]
    third = saying(tmp_path / "c.pt", ("n02", "n03", "n01"), np.log((0.6, 0.3, 0.1)).tolist())
    spec = make_set(tmp_path / "set", IMAGES, ["n01", "n02", "n03"])  # of n02, n01, n02, n03
    assert errors_of(tmp_path, "--weights", files[0], "--data", spec)["top1_error"] == 75.0  # says n01
    two = errors_of(tmp_path, "--weights", *files, "--data", spec)
    assert (two["top1_error"], two["networks"]) == (75.0, 2)  # 0.30 0.30 0.40: n03
    assert "4 images, 1-crop, 2 networks; errors in %" in capsys.readouterr().out
    three = errors_of(tmp_path, "--weights", *files, third, "--data", spec)
    assert (three["top1_error"], three["networks"]) == (50.0, 3)  # 0.23 0.40 0.37: n02


def test_an_ensemble_of_a_classifier_and_a_localizer(cls_weights, loc_weights, tmp_path):
    spec = make_set(tmp_path / "set", IMAGES, ["n01", "n02", "n03"])
    assert errors_of(tmp_path, "--weights", loc_weights, cls_weights, "--data", spec)["networks"] == 2


def test_a_member_of_other_classes_is_named(tmp_path, capsys):
    first = saying(tmp_path / "first.pt", ("n02", "n01", "n03"), [0.0, 0.0, 0.0])
    other = saying(tmp_path / "other.pt", ("n01", "n02", "n09"), [0.0, 0.0, 0.0])
    spec = make_set(tmp_path / "set", IMAGES, ["n01", "n02", "n03"])
    assert evaluate("--weights", first, other, "--data", spec) == 1
    assert f"{other}: of the 3 classes of" in (err := capsys.readouterr().err)
    assert "'n03'" in err


def test_protocol_and_settings_are_not_for_predictions(tmp_path, capsys):
    spec = make_set(tmp_path / "set", IMAGES, ["n01", "n02", "n03"])
    assert evaluate("--predictions", tmp_path / "x.csv", "--data", spec, "--protocol", "dense") == 2
    assert "--protocol and --set are for --weights" in capsys.readouterr().err


def test_guesses_of_images_with_one_name_in_several_folders_are_read_back(cls_weights, tmp_path):
    for number, path in enumerate(("n01/1.png", "n02/1.png", "n02/2.png", "n03/1.png")):
        (tmp_path / "set" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 32), (60 * number, 90, 0)).save(tmp_path / "set" / path)
    spec = f"folder:{tmp_path / 'set'}"
    assert evaluate("--weights", cls_weights, "--data", spec, "--out", tmp_path / "out") == 0
    for name in ("predictions.txt", "predictions.csv", "predictions.numbers.csv"):
        again = tmp_path / "again.json"
        assert evaluate("--predictions", tmp_path / "out" / name, "--data", spec, "--json", again) == 0
        assert json.loads(again.read_text())["top1_error"] == 50.0  # it says "n02" of every image
