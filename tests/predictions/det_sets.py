"""Data sets and files of detections for the tests of reading them."""

from pathlib import Path

from resdet.data.records import Classes, Record, pack
from resdet.predictions.read import read_det

NUMBERED = Classes(("n01", "n02", "n03"), ("ant", "bee", "cat"), (7, 90, 13))
PLAIN = Classes(("ant", "hot dog", "cat"), ("ant", "hot dog", "cat"))


def records_of(classes=NUMBERED, names=("b", "a", "c"), numbers=(20, 3, 11)):
    rows = [Record(f"x/{name}.jpg", -1, size=(64, 48), number=n) for name, n in zip(names, numbers, strict=True)]
    return pack(Path("set"), classes, rows)


WITHOUT_NUMBERS = (-1, -1, -1)


def read(tmp_path, text, records, name="det.txt"):
    (tmp_path / name).write_text(text)
    return read_det(tmp_path / name, records)


def as_rows(found):
    columns = (found.images, found.labels, found.scores, found.boxes)
    return [(i, label, score, *box) for i, label, score, box in zip(*(c.tolist() for c in columns), strict=True)]
