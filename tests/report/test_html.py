"""Pages are read back by a parser that knows nothing of how they were made."""

import base64

import cv2
import numpy as np
from html_reader import Reader

from resdet.report import html

EVIL = "<script>alert('1')</script> & \"x\".jpg"


def test_text_is_text_whatever_it_looks_like():
    picture = np.zeros((4, 4, 3), np.uint8)
    parts = [
        html.heading(EVIL), html.paragraph(EVIL), html.table([EVIL, "n"], [[EVIL, 1]]), html.figures([(picture, EVIL)]),
    ]  # fmt: skip
    read = Reader(html.page(EVIL, parts))
    assert "script" not in {tag for tag, _ in read.found}
    for tag in ("title", "h1", "h2", "p", "th", "td", "figcaption"):
        assert "".join(read.of(tag)).startswith(EVIL), tag


def test_rows_and_cells_come_in_their_order():
    read = Reader(html.table(["class", "images"], [["cat", 3], ["dög", 4.5]]))
    assert read.of("th") == ["class", "images"]
    assert read.of("td") == ["cat", "3", "dög", "4.5"]
    assert [tag for tag, _ in read.found].count("tr") == 3


def test_a_picture_lies_within_the_page_in_its_colours():
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:, :, 0] = 200  # red
    read = Reader(html.figures([(picture, "one"), (None, "two\nlines")]))
    (source,) = [attributes["src"] for tag, attributes in read.found if tag == "img"]
    kind, data = source.split(",")
    assert kind == "data:image/jpeg;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert decoded.shape == picture.shape
    assert np.abs(decoded.astype(int) - picture).max() < 8
    assert read.of("figcaption") == ["one", "two\nlines"]


def test_a_page_names_nothing_outside_of_itself():
    text = html.page("t", [html.figures([(np.zeros((4, 4, 3), np.uint8), "x")])])
    assert "http" not in text
    assert "<script" not in text
    assert text.startswith("<!DOCTYPE html>")
    assert '<meta charset="utf-8">' in text
