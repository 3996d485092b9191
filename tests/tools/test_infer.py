import csv
import json
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from resdet import cli
from resdet.data.formats import open_records
from resdet.predictions.read import read_loc

INFER = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "infer.py"))
GOOD = {  # relative path: (width, height) as a person sees it
    "cmyk.JPEG": (40, 30),
    "deep.png": (20, 50),
    "grey.jpg": (33, 33),
    "naïve 图.jpg": (30, 20),
    "nested/far/plain.jpg": (64, 48),
    "nested/plain.JPG": (50, 64),
    "one.png": (1, 1),
    "turned.jpg": (30, 60),
}
BAD = ("cut.jpg", "empty.jpg", "nested/text.jpg")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs")
    (root / "nested/far").mkdir(parents=True)
    rng = np.random.default_rng(0)

    def noise(width, height):
        return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))

    noise(40, 30).convert("CMYK").save(root / "cmyk.JPEG")
    Image.fromarray(rng.integers(0, 65536, (50, 20)).astype(np.uint16)).save(root / "deep.png")
    noise(33, 33).convert("L").save(root / "grey.jpg")
    noise(30, 20).save(root / "naïve 图.jpg")
    noise(64, 48).save(root / "nested/far/plain.jpg")
    noise(50, 64).save(root / "nested/plain.JPG", format="JPEG")
    noise(1, 1).save(root / "one.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by a quarter
    noise(60, 30).save(root / "turned.jpg", exif=turned)
    whole = (root / "grey.jpg").read_bytes()
    (root / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "empty.jpg").touch()
    (root / "nested/text.jpg").write_text("no image")
    (root / "notes.txt").write_text("not asked for")
    (root / ".hidden.jpg").write_text("not asked for")
    return root


def infer(*words):
    return cli.run(INFER["main"], [str(word) for word in words])


def rows(out):
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def found(photographs, loc_weights, tmp_path_factory):
    """All forms of output for the whole folder, made once."""
    out = tmp_path_factory.mktemp("out") / "new"
    assert infer("--weights", loc_weights, photographs, "--out", out, "--format", "jsonl,csv,devkit,images") == 0
    return out


def test_every_image_has_a_row_in_the_order_of_the_folder(found, photographs):
    files = [row["file"] for row in rows(found)]
    assert files == [str(file) for file in sorted(photographs / name for name in (*GOOD, *BAD))]


def test_sizes_and_boxes_are_those_of_the_image_a_person_sees(found, photographs):
    for row in rows(found):
        name = str(Path(row["file"]).relative_to(photographs))
        if name in BAD:
            assert (row["width"], row["height"], row["detections"]) == (None, None, [])
            assert row["file"] in row["error"]
            continue
        width, height = GOOD[name]
        assert (row["width"], row["height"], row["error"]) == (width, height, None)
        assert sorted(d["label"] for d in row["detections"]) == [0, 1, 2]
        assert {d["name"] for d in row["detections"]} == {"cat", "dög", "热狗"}
        scores = [d["score"] for d in row["detections"]]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-5)
        for x1, y1, x2, y2 in (d["box"] for d in row["detections"]):
            assert 0 <= x1 <= x2 <= width
            assert 0 <= y1 <= y2 <= height


def test_csv_names_two_images_of_one_stem_by_their_folders(found):
    with (found / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        header, *table = csv.reader(stream)
    assert header == ["ImageId", "PredictionString"]
    groups = dict(table)
    assert {"nested/far/plain", "nested/plain", "nested/text", "cut", "naïve 图"} < set(groups)
    assert groups["cut"] == ""
    words = groups["turned"].split()
    assert sorted(words[::5]) == ["n01", "n02", "n03"]
    assert all(0 <= int(x) < 30 and 0 <= int(y) < 60 for i in (1, 3) for x, y in [words[i : i + 2]])


def test_devkit_text_has_a_line_an_image_in_alphabetical_order(found):
    lines = (found / "predictions.txt").read_text().splitlines()
    names = sorted(str(Path(name).with_suffix("")) for name in (*GOOD, *BAD))
    assert len(lines) == len(names)
    for name, line in zip(names, lines, strict=True):
        words = line.split()
        is_bad = name in [str(Path(bad).with_suffix("")) for bad in BAD]
        assert sorted(words[::5]) == (["0"] if is_bad else ["1", "2", "3"]), name


def test_pictures_mirror_the_folder_and_are_upright(found):
    pictures = {str(file.relative_to(found / "images")) for file in (found / "images").rglob("*.*")}
    assert pictures == {str(Path(name).with_suffix(".jpg")) for name in GOOD}
    turned = cv2.imread(str(found / "images/turned.jpg"))
    assert turned.shape[0] == 2 * turned.shape[1]


def test_bad_images_are_named_on_stderr_and_counted(photographs, loc_weights, tmp_path, capsys):
    assert infer("--weights", loc_weights, photographs, "--out", tmp_path, "--format", "jsonl", "--workers", 1) == 0
    out, err = capsys.readouterr()
    told = [line for line in err.splitlines() if line.startswith("skipped: ")]
    assert [line.split(": ")[1] for line in told] == [str(photographs / name) for name in BAD]
    assert "11 images, 3 of them skipped" in out


def test_a_bad_image_can_stop_the_run_and_what_was_done_is_kept(photographs, loc_weights, tmp_path, capsys):
    words = ("--format", "jsonl,csv,devkit", "--on-bad-image", "fail", "--workers", 1)
    assert infer("--weights", loc_weights, photographs, "--out", tmp_path, *words) == 1
    err = capsys.readouterr().err
    assert str(photographs / "cut.jpg") in err
    assert len(err.splitlines()) == 1
    assert [row["file"] for row in rows(tmp_path)] == [str(photographs / "cmyk.JPEG")]
    assert not (tmp_path / "predictions.txt").exists()  # lines without names: a part of them means something else


def test_batches_and_workers_do_not_change_what_is_found(found, photographs, loc_weights, tmp_path):
    infer("--weights", loc_weights, photographs, "--out", tmp_path, "--format", "jsonl", "--batch-size", 1)
    for one, many in zip(rows(tmp_path), rows(found), strict=True):
        assert one["file"] == many["file"]
        for a, b in zip(one["detections"], many["detections"], strict=True):
            assert a["label"] == b["label"]
            np.testing.assert_allclose([a["score"], *a["box"]], [b["score"], *b["box"]], rtol=1e-3, atol=1e-3)


def test_top_k_and_threshold_keep_the_most_probable(found, photographs, loc_weights, tmp_path):
    common = ("--weights", loc_weights, photographs / "grey.jpg", "--out", tmp_path, "--format", "jsonl")
    every = next(row for row in rows(found) if row["file"].endswith("grey.jpg"))["detections"]
    assert infer(*common, "--top-k", 2) == 0
    assert [d["label"] for d in rows(tmp_path)[0]["detections"]] == [d["label"] for d in every[:2]]
    between = (every[0]["score"] + every[1]["score"]) / 2
    assert infer(*common, "--score-threshold", between) == 0
    assert [d["label"] for d in rows(tmp_path)[0]["detections"]] == [every[0]["label"]]
    assert infer(*common, "--score-threshold", 1) == 0
    assert rows(tmp_path)[0]["detections"] == []


def test_classes_can_come_from_a_second_network_in_another_order(photographs, loc_weights, cls_weights, tmp_path):
    common = ("--weights", loc_weights, photographs, "--out", tmp_path, "--format", "jsonl")
    assert infer(*common, "--classifier", cls_weights) == 0
    expected = np.exp([3, 1, 2]) / np.exp([3, 1, 2]).sum()  # its n02, n03, n01 are dög, 热狗 and cat here
    for row in rows(tmp_path):
        if row["error"] is None:
            assert [d["name"] for d in row["detections"]] == ["dög", "cat", "热狗"]
            assert [d["score"] for d in row["detections"]] == pytest.approx(expected[[0, 2, 1]], abs=1e-5)
    assert len([row for row in rows(tmp_path) if row["error"]]) == len(BAD)


def test_dense_testing_is_a_setting(found, photographs, loc_weights, tmp_path):
    common = ("--weights", loc_weights, photographs / "nested", "--out", tmp_path, "--format", "jsonl")
    assert infer(*common, "--set", "test.protocol=dense", "test.scales=[32, 64]") == 0
    dense = next(row for row in rows(tmp_path) if row["file"].endswith("far/plain.jpg"))
    crop = next(row for row in rows(found) if row["file"].endswith("far/plain.jpg"))
    assert dense["detections"] != crop["detections"]


def test_outputs_are_read_back_as_predictions_of_a_data_set(loc_weights, tmp_path):
    images, notes = tmp_path / "set/Data/CLS-LOC/val", tmp_path / "set/Annotations/CLS-LOC/val"
    lists = tmp_path / "set/ImageSets/CLS-LOC"
    for folder in (images, notes, lists):
        folder.mkdir(parents=True)
    (tmp_path / "set/LOC_synset_mapping.txt").write_text("n01 cat\nn02 dög\nn03 热狗\n", encoding="utf-8")
    names = ["b_2", "a_1", "c_3"]
    (lists / "val.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(names, 1)))
    for i, name in enumerate(names):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{name}.JPEG")
        box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
        size = "<size><width>50</width><height>40</height><depth>3</depth></size>"
        text = f"<annotation>{size}<object><name>n01</name>{box}</object></annotation>"
        (notes / f"{name}.xml").write_text(text)
    assert (
        infer("--weights", loc_weights, images, "--out", tmp_path / "out", "--format", "jsonl,csv,csv-numbers,devkit")
        == 0
    )
    records = open_records(f"ilsvrc-loc:{tmp_path / 'set'}:val")
    endings = ("jsonl", "csv", "txt", "numbers.csv")
    forms = [read_loc(tmp_path / "out" / f"predictions.{ending}", records) for ending in endings]
    assert (forms[0].labels[:, :3] >= 0).all()
    written = (tmp_path / "out" / "predictions.numbers.csv").read_text().splitlines()[1:]
    assert all(set(row.split(",")[1].split()[::5]) == {"1", "2", "3"} for row in written)
    for form in forms[1:]:
        np.testing.assert_array_equal(form.labels, forms[0].labels)
        np.testing.assert_array_equal(form.boxes, forms[0].boxes)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere",), 1, "nowhere: no such file or folder"),
        (("{empty}",), 1, "no images in this folder or below"),
        (("{photographs}/*.gif",), 1, "matches nothing"),
        (("{photographs}/*.txt",), 1, "matches 1 files, none of them an image"),
        (("{photographs}", "--format", "coco"), 2, "--format coco is made for detection"),
        (("{photographs}", "--format", "jsonl,voc"), 2, "--format voc is made for detection"),
        (("{photographs}", "--format", "xml"), 2, "wanted some of jsonl, csv, csv-numbers, devkit, images"),
        (("{photographs}", "--top-k", "6"), 2, "wanted a whole number from 1 to 5 of a localizer, got 6"),
        (("{photographs}", "--rcnn", "{loc}"), 2, "a localizer: wanted an R-CNN"),
        (("{photographs}", "--set", "rcnn.test.proposals=3"), 2, "no R-CNN is named (--rcnn)"),
        (("{photographs}", "--set", "test.scalez=[1]"), 2, "did you mean 'test.scales'"),
        (("{photographs}", "--device", "tpu"), 2, "--device tpu: this machine has cpu"),
    ],
)
def test_what_cannot_work_is_one_line(words, code, said, photographs, loc_weights, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    places = {"photographs": photographs, "loc": loc_weights, "empty": tmp_path / "empty"}
    given = [word.format(**places) for word in words]
    assert infer("--weights", loc_weights, "--out", tmp_path / "out", *given) == code
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_weights_of_two_kinds_or_of_none_are_one_line(photographs, loc_weights, cls_weights, tmp_path, capsys):
    both = ("--weights", loc_weights, "--weights", cls_weights)
    assert infer(*both, photographs, "--out", tmp_path / "out") == 2
    assert "a classifier, which gives no boxes" in capsys.readouterr().err
    assert infer("--weights", photographs / "notes.txt", photographs, "--out", tmp_path / "out") == 1
    assert "notes.txt: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_wrong_number_is_wrong_usage(photographs, loc_weights, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        infer("--weights", loc_weights, photographs, "--out", tmp_path, "--top-k", 0)
    assert stop.value.code == 2
    assert "wanted a whole number from 1, got '0'" in capsys.readouterr().err


def test_pictures_never_replace_photographs(loc_weights, tmp_path, capsys):
    (tmp_path / "images").mkdir()
    file = tmp_path / "images" / "mine.jpg"
    Image.new("RGB", (20, 20)).save(file)
    before = file.read_bytes()
    assert infer("--weights", loc_weights, tmp_path, "--out", tmp_path) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_a_file_of_the_users_that_only_detections_forms_have_stays(photographs, loc_weights, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "images.txt").write_text("mine")
    words = ["--weights", loc_weights, photographs / "grey.jpg", "--out", out, "--format", "devkit"]
    assert infer(*words) == 0
    assert (out / "images.txt").read_text() == "mine"
    assert len((out / "predictions.txt").read_text().splitlines()) == 1
