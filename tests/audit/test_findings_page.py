"""The page of findings stands alone, shows what is meant, and takes nothing from a data set for its own text."""

import base64
import re
from html.parser import HTMLParser

import broken_sets
import cv2
import numpy as np

from resdet.audit.findings import Finding
from resdet.audit.page import SHOWN, page

EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"
ANCHORS = {"anchors": EVIL, "boxes": 4, "recall_0.5": 75.0, "recall_0.7": 25.0, "mean_iou": 0.5817}
SETS = [{"spec": f"voc:{EVIL}:all", "images": 3, "boxes": 4, "anchors": ANCHORS}]


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_names_that_are_html_are_shown_and_not_obeyed(tmp_path):
    file = tmp_path / "<b onclick=x>.jpg"
    broken_sets.image(file, 0)
    read = Elements(page(EVIL, SETS, [Finding("small", f"{EVIL}: object 1", EVIL, str(file), (1, 2, 30, 30))]))
    assert {tag for tag, _ in read.found} <= {
        *("html", "meta", "title", "style", "h1", "h2", "table", "tr", "td", "section", "div", "img", "small", "br")
    }
    assert all(not name.startswith("on") for _, attributes in read.found for name in attributes)
    assert read.text.count(EVIL) == 6  # title, heading, set, its anchors, place and text


def test_the_page_needs_nothing_beside_it_and_pictures_have_the_box_drawn_in(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((80, 160, 3), np.uint8))
    plain = [{**SETS[0], "spec": "voc:set:all", "anchors": {}}]
    text = page("t", plain, [Finding("outside", "a.xml: object 1", "out", str(tmp_path / "a.png"), (40, 20, 120, 60))])
    (source,) = [attributes["src"] for tag, attributes in Elements(text).found if tag == "img"]
    kind, _, data = source.partition(",")
    assert kind == "data:image/jpeg;base64"
    assert not re.search(r"(src|href)=\W*(?!data:)\w", text)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (80, 160, 3)
    assert picture[20, 80, 2] > 100  # the upper edge, red
    assert picture[40, 80].max() < 60


def test_what_cannot_be_shown_is_told_all_the_same(tmp_path):
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    places = [f"{number}.jpg" for number in range(SHOWN + 40)]
    many = [Finding("unreadable", place, "torn", str(tmp_path / "torn.jpg")) for place in places]
    text = page("t", SETS, [*many, Finding("refused", "caf\udce9.jpg", "a name of bytes")])
    assert f"the first {SHOWN} of {SHOWN + 40}" in text
    assert "caf\\udce9.jpg" in text
    assert text.index("<h2>refused") < text.index("<h2>unreadable")
    text.encode()


def test_the_page_shows_how_well_anchors_fit_where_there_are_any():
    sets = [{**SETS[0], "anchors": {**ANCHORS, "anchors": "my.yaml"}}, {**SETS[0], "spec": "voc:b:all", "anchors": {}}]
    shown = Elements(page("t", sets, [])).text
    wanted = "anchors of my.yaml reach 75.0 % of boxes at IoU 0.5, 25.0 % of boxes at IoU 0.7; mean of the best 0.5817"
    assert shown.count("anchors of") == shown.count(wanted) == 1
