import json
from pathlib import Path

import pytest
import torch

from resdet.data.records import Classes, Record, pack
from resdet.errors import InputError
from resdet.predictions import jsonl
from resdet.predictions.read import read_loc
from resdet.structures import Detections

CLASSES = Classes(("n1", "n2", "n3"), ("ant", "bee", "cat"))
BOXES = torch.tensor([[0.1, 0.2, 12.34, 20.0], [-1.0, 2.5, 99.0, 30.0]])
FOUND = Detections(BOXES, torch.tensor([0.9, 0.3]), torch.tensor([2, 0]))
RESULT = jsonl.ImageResult("photos/é a.png", 64, 48, FOUND)


def records_of(*names):
    return pack(Path("set"), CLASSES, [Record(f"val/{name}.JPEG", 0) for name in names])


def entry(**changes):
    detection = {"label": 2, "name": "cat", "score": 0.9, "box": [1, 2, 3, 4]}
    whole = {"file": "a.png", "width": 64, "height": 48, "detections": [detection | changes.pop("detection", {})]}
    return json.dumps(whole | {"error": None} | changes) + "\n"


def test_a_line_has_the_keys_of_the_contract_and_short_numbers():
    line = jsonl.format_line(RESULT, CLASSES.names)
    assert line.endswith("\n")
    assert json.loads(line) == {
        "file": "photos/é a.png",
        "width": 64,
        "height": 48,
        "detections": [
            {"label": 2, "name": "cat", "score": 0.9, "box": [0.1, 0.2, 12.34, 20.0]},
            {"label": 0, "name": "ant", "score": 0.3, "box": [-1.0, 2.5, 99.0, 30.0]},
        ],
        "error": None,
    }


def test_an_image_that_failed_keeps_its_reason():
    line = jsonl.format_line(jsonl.failed("broken.jpg", "not an image"), CLASSES.names)
    assert json.loads(line) == {
        "file": "broken.jpg",
        "width": None,
        "height": None,
        "detections": [],
        "error": "not an image",
    }


def test_results_come_back_bit_for_bit():
    text = jsonl.format_line(RESULT, CLASSES.names) + jsonl.format_line(jsonl.failed("b", "gone"), CLASSES.names)
    (place, first), (_, second) = jsonl.results(Path("x.jsonl"), text, CLASSES)
    assert (place, first.file, first.width, first.height, first.error) == ("x.jsonl:1", RESULT.file, 64, 48, None)
    assert torch.equal(first.detections.boxes, FOUND.boxes)
    assert torch.equal(first.detections.scores, FOUND.scores)
    assert first.detections.labels.tolist() == [2, 0]
    assert (second.file, second.error, len(second.detections)) == ("b", "gone", 0)


def test_localizations_are_matched_by_file_name_and_rounded_like_every_written_file(tmp_path):
    (tmp_path / "p.jsonl").write_text(
        jsonl.format_line(jsonl.failed("elsewhere/b.jpg", "gone"), CLASSES.names)
        + jsonl.format_line(RESULT, CLASSES.names),
        encoding="utf-8",
    )
    predictions = read_loc(tmp_path / "p.jsonl", records_of("é a", "b"))
    assert predictions.labels.tolist() == [[2, 0, -1, -1, -1], [-1] * 5]
    assert predictions.boxes[0, :2].tolist() == [[0, 0, 11, 19], [0, 3, 63, 29]]


def test_images_of_one_name_are_told_apart_by_their_folders(tmp_path):
    records = records_of("cat/1", "dog/1", "1")
    files = ["/photos/set/val/dog/1.JPEG", "val/1.JPEG", "cat/1.png"]  # one was made a PNG
    (tmp_path / "p").write_text(
        "".join(entry(file=file, detection={"label": i, "name": None}) for i, file in enumerate(files))
    )
    assert read_loc(tmp_path / "p", records).labels[:, 0].tolist() == [2, 0, 1]


def test_only_the_first_five_detections_are_guesses(tmp_path):
    many = Detections(torch.ones(8, 4).cumsum(1), torch.ones(8), torch.arange(8) % 3)
    (tmp_path / "p").write_text(jsonl.format_line(jsonl.ImageResult("a", 9, 9, many), CLASSES.names))
    assert read_loc(tmp_path / "p", records_of("a")).labels.tolist() == [[0, 1, 2, 0, 1]]


def test_boxes_found_in_a_smaller_copy_of_an_image_are_scaled_to_its_annotation(tmp_path):
    rows = [
        Record(f"val/{name}.JPEG", 0, size=size) for name, size in (("a", (128, 96)), ("b", (0, 0)), ("c", (64, 48)))
    ]
    records = pack(Path("set"), CLASSES, rows)
    (tmp_path / "p").write_text("".join(entry(file=f"{name}.png", detection={"box": [1, 2, 30, 48]}) for name in "cab"))
    assert read_loc(tmp_path / "p", records).boxes[:, 0].tolist() == [[2, 4, 59, 95], [1, 2, 29, 47], [1, 2, 29, 47]]


def test_boxes_found_in_an_image_of_another_shape_are_refused(tmp_path):
    records = pack(Path("set"), CLASSES, [Record("val/a.JPEG", 0, size=(48, 64))])
    (tmp_path / "p").write_text(entry())
    with pytest.raises(InputError, match=r"p:1: the image is 64 x 48 pixels there, 48 x 64 by its annotation \(it may"):
        read_loc(tmp_path / "p", records)
    (tmp_path / "p").write_text(entry(detections=[]))
    assert read_loc(tmp_path / "p", records).labels[0].tolist() == [-1] * 5  # nothing there that could lie elsewhere
    (tmp_path / "p").write_text(entry())
    assert read_loc(tmp_path / "p", records.without_boxes()).labels[0, 0] == 2


def test_a_name_that_the_class_list_does_not_have_is_only_another_spelling(tmp_path):
    (tmp_path / "p").write_text(entry(detection={"name": "house cat"}))
    assert read_loc(tmp_path / "p", records_of("a")).labels[0, 0] == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"file": "a.png",\n', "p:1: not JSON"),
        ("{}\n", "p:1: wanted an object with 'file'"),
        (entry(width=None), "p:1: wanted 'width' and 'height' in whole pixels, got None and 48"),
        (entry(detections=None), "p:1: wanted 'detections' as a list, got None"),
        (entry(detections=[3]), "p:1: detection 1: wanted an object with label, score and box, got 3"),
        (entry(detection={"label": 3}), r"p:1: detection 1: wanted a label 0 \.\. 2, got 3"),
        (entry(detection={"label": "cat"}), r"p:1: detection 1: wanted a label 0 \.\. 2, got 'cat'"),
        (entry(detection={"score": None}), "p:1: detection 1: wanted a score, got None"),
        (entry(detection={"box": [1, 2, 3]}), r"p:1: detection 1: wanted a box \[x1, y1, x2, y2\], got \[1, 2, 3\]"),
        (entry(detection={"box": [1, 2, 3, float("nan")]}), "p:1: detection 1: wanted a box"),
        (entry(detection={"name": "bee"}), "p:1: detection 1: label 2 is 'bee' there, but 'cat' in the data set"),
        (entry(file="c.png"), "p:1: image 'c.png' is not among the data set's 1, such as 'a'"),
        (entry() + entry(), "p:2: image 'a.png' has a row already"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, message):
    (tmp_path / "p").write_text(line)
    with pytest.raises(InputError, match=message):
        read_loc(tmp_path / "p", records_of("a"))


@pytest.mark.parametrize("broken", ["a box", "a score"])
def test_a_result_that_is_not_finite_is_none(broken):
    boxes, scores = BOXES.clone(), FOUND.scores.clone()
    (boxes if broken == "a box" else scores).view(-1)[1] = float("nan")
    with pytest.raises(FloatingPointError, match=r"a\.png: a score or a box found in it is not finite"):
        jsonl.ImageResult("a.png", 64, 48, Detections(boxes, scores, FOUND.labels))
