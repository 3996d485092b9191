"""Files of detections as JSON, COCO's and our own lines; and broken files of every form."""

import json

import numpy as np
import pytest
import torch
from det_sets import as_rows, read, records_of

from resdet.errors import InputError
from resdet.predictions import jsonl
from resdet.predictions.det import predictions
from resdet.predictions.det_coco import format_entries
from resdet.predictions.jsonl import ImageResult, failed
from resdet.structures import Detections


def coco(**changes):
    return {"image_id": 3, "category_id": 90, "bbox": [1, 2, 10, 20.5], "score": 0.5} | changes


def test_coco_ids_below_zero_are_ids_as_others(tmp_path):
    records = records_of(numbers=(-20, 3, 1))
    entry = {"category_id": 90, "bbox": [1, 2, 3, 4], "score": 0.5}
    text = json.dumps([entry | {"image_id": number} for number in (1, -20, 3)])
    assert read(tmp_path, text, records).images.tolist() == [2, 0, 1]


def test_coco_results_have_widths_and_ids(tmp_path):
    text = json.dumps([coco(), coco(image_id=20.0, category_id=7, score=1, id=4, segmentation=[[1, 2]])], indent=1)
    assert as_rows(read(tmp_path, text, records_of(), "r.json")) == [
        (1, 1, 0.5, 1, 2, 11, 22.5),
        (0, 0, 1, 1, 2, 11, 22.5),
    ]
    assert len(read(tmp_path, " [ ] \n", records_of(), "r.json")) == 0


def test_what_is_written_for_coco_has_hundredths_of_a_pixel():
    found = predictions([1], [0], [0.123456789], [(1.004, 2.499, 11.0, 22.999)])
    (text,) = format_entries(found, np.array([3, 20]), np.array([7, 90]))
    assert json.loads(text) == {"image_id": 20, "category_id": 7, "bbox": [1, 2.5, 10, 20.5], "score": 0.123456789}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps([coco(), 3]), r"r\.json: result 2: wanted an object"),
        (json.dumps([coco(image_id=4)]), r"result 1: image_id 4 is none of the data set's 3"),
        (json.dumps([coco(image_id="3")]), r"result 1: wanted 'image_id' as a number, got '3'"),
        (json.dumps([coco(image_id=True)]), r"result 1: wanted 'image_id' as a number, got True"),
        (json.dumps([coco(category_id=1)]), r"result 1: category_id 1 is none of the data set's 3"),
        (json.dumps([{"image_id": 3}]), r"result 1: wanted 'category_id' as a number, got None"),
        (json.dumps([coco(bbox=[1, 2, 3])]), r"result 1: wanted 'bbox' as \[x, y, width, height\], got \[1, 2, 3\]"),
        (json.dumps([coco(bbox=[1, 2, 3, float("nan")])]), r"result 1: wanted 'bbox'"),
        (json.dumps([coco(bbox=[1, 2, 3, 10**400])]), r"result 1: wanted 'bbox'"),
        (json.dumps([coco(bbox="0" * 100)]), r"result 1: wanted 'bbox' .*, got '0+\.\.\."),
        (json.dumps([coco(score=float("inf"))]), r"result 1: wanted 'score' as a number, got inf"),
        (json.dumps([coco()])[:-1], r"after result 1: wanted a comma or the list's end, got ''"),
        (json.dumps([coco()])[:-2], r"result 1: not JSON"),
        ("[" + json.dumps(coco()) + ",]", r"result 2: not JSON"),
        (json.dumps([coco()]) + " x", "something comes after the list's end"),
        ("[" * 100_000, r"result 1: nested too deep"),
        ('[{"image_id": ' + "9" * 10_000 + "}]", r"result 1: not JSON: Exceeds the limit"),
    ],
)
def test_what_is_wrong_with_a_coco_file_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text, records_of(), "r.json")


def found(*rows):
    """Detections of one image from ``(label, score, box)`` rows."""
    boxes = torch.tensor([box for _, _, box in rows], dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor([label for label, _, _ in rows], dtype=torch.int64)
    return Detections(boxes, torch.tensor([score for _, score, _ in rows]), labels)


NAMES = ("ant", "bee", "cat")


def test_jsonl_is_matched_by_file_name_and_an_image_with_an_error_has_no_detections(tmp_path):
    lines = [
        jsonl.format_line(ImageResult("/elsewhere/c.png", 64, 48, found((2, 0.5, (1.25, 2, 3, 4)))), NAMES),
        jsonl.format_line(failed("b.png", "truncated"), NAMES),
        jsonl.format_line(ImageResult("a.png", 64, 48, found((0, 0.25, (0, 0, 9, 9)), (1, 0.75, (0, 0, 9, 9)))), NAMES),
    ]
    read_back = read(tmp_path, "".join(lines), records_of(), "r.jsonl")
    assert as_rows(read_back) == [
        (2, 2, 0.5, 1.25, 2, 3, 4),
        (1, 0, 0.25, 0, 0, 9, 9),
        (1, 1, 0.75, 0, 0, 9, 9),
    ]
    with pytest.raises(InputError, match=r"no row for 1 of 3 images, the first is 'c'"):
        read(tmp_path, "".join(lines[1:]), records_of(), "r.jsonl")


def test_jsonl_of_images_of_another_size_than_their_annotations_is_refused(tmp_path):
    names, boxes = ("a.png", "b.png", "c.png"), ((0, 0, 9, 9),)
    lines = [jsonl.format_line(ImageResult(name, 32, 24, found()), NAMES) for name in names]
    assert len(read(tmp_path, "".join(lines), records_of(), "r.jsonl")) == 0
    lines[1] = jsonl.format_line(ImageResult("b.png", 32, 24, found((0, 0.5, *boxes))), NAMES)
    with pytest.raises(
        InputError, match=r"r\.jsonl:2: the image is 32 x 24 pixels there, 64 x 48 by its annotation: its"
    ):
        read(tmp_path, "".join(lines), records_of(), "r.jsonl")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"file": ' + "[" * 100_000, r"r\.jsonl:1: not JSON of ours: nested too deep"),
        ('{"file": "a", "width": ' + "9" * 10_000 + "}", r"r\.jsonl:1: not JSON: Exceeds the limit"),
        ('{"file": "a", "width": 1e99, "height": 5}', r"r\.jsonl:1: wanted 'width' and 'height' in whole pixels"),
        (
            '{"file": "a", "width": 9, "height": 5, "detections": [{"label": 0, "score": 1, "box": [0, 0, 1e99, 1]}]}',
            r"r\.jsonl:1: detection 1: wanted a box",
        ),
        ('{"annotations": []}', r"r\.jsonl:1: wanted an object with 'file'"),
    ],
)
def test_a_hostile_jsonl_line_is_named(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, line, records_of(), "r.jsonl")


WHOLE_FILES = {
    "det.txt": "3 90 0.5 0 0 9 19\n20 7 0.25 1.5 2 3 4\n",
    "comp4_det_test_bee.txt": "a 0.5 1 1 10 20\nc 0.25 3 4 3 4\n",
    "r.json": json.dumps([coco(), coco(image_id=20, category_id=7)]),
    "r.jsonl": "".join(
        jsonl.format_line(ImageResult(f"{n}.png", 64, 48, found((1, 0.5, (1, 2, 3, 4)))), NAMES) for n in "abc"
    ),
}
INSERTED = (
    "",
    " ",
    "\n",
    "\0",
    "e",
    "-",
    "9" * 20,
    "1e999",
    "nan",
    "[",
    "]",
    "{",
    '"',
    ",",
    "null",
    "\ufeff",
    "é",
    "\x1c",
)


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_whatever_is_broken_in_a_file_it_is_read_or_refused_with_its_name(tmp_path, name):
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        text = WHOLE_FILES[name]
        for _ in range(rng.integers(1, 4)):
            at, length = rng.integers(0, len(text) + 1), rng.integers(0, 6)
            text = text[:at] + str(rng.choice(INSERTED)) + text[at + length :]
        try:
            read(tmp_path, text, records_of(), name)
        except InputError as error:
            refused += 1
            assert name in str(error)
            assert "\n" not in str(error)
    assert refused > 100
