"""tools/eval_loc.py's page of errors, read back by a parser."""

import base64
import json

import cv2
import numpy as np
import pytest
from html_reader import Reader
from tiny_set import draw, main_of

from resdet import cli

WNIDS = ("n01", "n02", "n03")
EVIL = '<b onmouseover="x()">&dog</b>'


@pytest.fixture
def data(tmp_path):
    """Six images, two of each class; one class's name is markup."""
    folder = draw(tmp_path / "set", WNIDS)
    (folder / "words.txt").write_text(f"n01\tcat\nn02\t{EVIL}\nn03\tant\n")
    return folder


def evaluate(data, *words):
    spec = f"tiny-imagenet:{data}:val"
    return cli.run(main_of("eval_loc"), [str(word) for word in ("--data", spec, *words)])


def pictures(read):
    sources = [attributes["src"] for tag, attributes in read.found if tag == "img"]
    data = [np.frombuffer(base64.b64decode(source.split(",")[1]), np.uint8) for source in sources]
    return [cv2.imdecode(of_one, cv2.IMREAD_COLOR) for of_one in data]


def predictions(tmp_path, *rows):
    """Kaggle's CSV: what ``val_<class>_<image>`` holds, by their order."""
    names = [f"val_{label}_{i}" for label in range(3) for i in range(2)]
    text = "".join(f"{name},{row}\n" for name, row in zip(names, rows, strict=True))
    (tmp_path / "found.csv").write_text("ImageId,PredictionString\n" + text)
    return tmp_path / "found.csv"


def test_weights_leave_a_page_with_the_worst_images_drawn(data, loc_weights, tmp_path):
    assert evaluate(data, "--weights", loc_weights, "--out", tmp_path / "out") == 0
    metrics = json.loads((tmp_path / "out" / "eval.json").read_text())
    wrong = round(metrics["loc_top5_error"] * 6 / 100)
    assert wrong > 0, "weights drawn at random"
    text = (tmp_path / "out" / "errors.html").read_text(encoding="utf-8")
    read = Reader(text)
    shown = pictures(read)
    assert len(shown) == len(read.of("figcaption")) == wrong
    for picture in shown:
        assert max(picture.shape[:2]) <= 640
        assert picture.std() > 10
    assert "<b " not in text
    assert EVIL in read.of("td")
    assert sum(group["images"] for group in metrics["per_class"].values()) == 6


def test_a_box_is_drawn_where_it_is(data, tmp_path):
    """The only wrong image: the true box is dashed in white, the guess drawn in a colour."""
    right = " ".join(f"{wnid} 0 0 63 63" for wnid in WNIDS)
    assert (
        evaluate(data, "--predictions", predictions(tmp_path, "", *[right] * 5), "--json", tmp_path / "all.json") == 0
    )
    wrong = predictions(tmp_path, "n03 2 2 5 5", *["n03 0 0 63 63"] * 5)
    assert evaluate(data, "--predictions", wrong, "--html", tmp_path / "page" / "errors.html") == 0
    read = Reader((tmp_path / "page" / "errors.html").read_text())
    captions = read.of("figcaption")
    assert any("val_0_0.JPEG" in caption and "the class is wrong" in caption for caption in captions)
    assert any("guesses: ant" in caption for caption in captions)
    row = next(
        row for row in (data / "val" / "val_annotations.txt").read_text().splitlines() if row.startswith("val_0_0")
    )
    x1, y1, _, _ = map(int, row.split("\t")[2:])
    place = next(i for i, caption in enumerate(captions) if "val_0_0.JPEG" in caption)
    picture = pictures(read)[place]
    factor = picture.shape[0] // 64
    assert picture.shape == (64 * factor, 64 * factor, 3)
    dashed = picture[y1 * factor - 1 : y1 * factor + 2, x1 * factor : x1 * factor + 8]
    assert dashed.min(2).max() > 200, "white begins in the corner of the true box"


def test_without_the_images_the_page_says_so_and_has_the_numbers(data, tmp_path):
    file = predictions(tmp_path, *["n03 0 0 3 3"] * 6)
    for image in (data / "val" / "images").iterdir():
        image.unlink()
    assert evaluate(data, "--predictions", file, "--html", tmp_path / "errors.html") == 0
    read = Reader((tmp_path / "errors.html").read_text())
    assert pictures(read) == []
    assert any("There are no pictures" in text for text in read.of("p"))
    assert all("no picture: " in caption for caption in read.of("figcaption"))
    assert "cat" in read.of("td")


def test_where_nothing_is_wrong_there_is_nothing_to_show(data, tmp_path):
    rows = {
        row.split("\t")[0]: row.split("\t")[1:] for row in (data / "val/val_annotations.txt").read_text().splitlines()
    }
    names = [f"val_{label}_{i}.JPEG" for label in range(3) for i in range(2)]
    file = predictions(tmp_path, *[" ".join(rows[name]) for name in names])
    assert evaluate(data, "--predictions", file, "--html", tmp_path / "errors.html") == 0
    read = Reader((tmp_path / "errors.html").read_text())
    assert pictures(read) == []
    assert "Not one image is wrong." in read.of("p")
