"""Pages are read back by a parser that knows nothing of how they were made."""

import base64
from html.parser import HTMLParser

import cv2
import numpy as np

from resdet.report import html

EVIL = "<script>alert('1')</script> & \"x\".jpg"
EMPTY = {"meta", "img"}


class Reader(HTMLParser):
    """Every element that opens, the text in it, and whether all are closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and text.strip():
            self.texts.append((self.open[-1], text))

    def of(self, tag: str) -> list[str]:
        return [text for where, text in self.texts if where == tag]


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
