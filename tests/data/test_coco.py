"""COCO's json: by hand, with every fault, and a real file against pycocotools."""

import json
from pathlib import Path

import pytest
import torch

from resdet.data.formats import open_records
from resdet.data.formats.coco import read
from resdet.data.image import image_size
from resdet.errors import InputError

GOOD = {
    "info": {"year": 2017},
    "categories": [{"id": 18, "name": "dog", "supercategory": "animal"}, {"id": 1, "name": "person"}],
    "images": [
        {"id": 70, "file_name": "b.jpg", "width": 60, "height": 40},
        {"id": 9, "file_name": "sub/a.png"},
        {"id": 4, "file_name": "empty.jpg", "width": 5, "height": 6.0},
    ],
    "annotations": [
        {"id": 1, "image_id": 9, "category_id": 18, "bbox": [1, 2, 3.5, 4], "area": 7.25, "iscrowd": 0},
        {
            "id": 2,
            "image_id": 70,
            "category_id": 1,
            "bbox": [0, 0, 60, 40],
            "iscrowd": 1,
            "segmentation": {"size": [1]},
        },
        {"id": 3, "image_id": 9, "category_id": 1, "bbox": [5, 5, 0, 4], "segmentation": [[1, 2, 3, 4, 5, 6]]},
    ],
}


def changed(**changes) -> dict:
    """The good file with some of its rows changed: ``annotation_0={"bbox": None}``."""
    content = json.loads(json.dumps(GOOD))
    kinds = {"annotation": "annotations", "image": "images", "category": "categories"}
    for place, values in changes.items():
        kind, _, number = place.partition("_")
        content[kinds[kind]][int(number)] |= values
    return content


def write(folder: Path, content: object = GOOD) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    (folder / "instances.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / "images"


def test_boxes_are_corners_and_sides_without_a_pixel_added(tmp_path):
    records = read(write(tmp_path), "instances.json")
    assert [records[i].boxes for i in range(3)] == [[(0, 0, 60, 40)], [(1, 2, 4.5, 6), (5, 5, 5, 9)], []]
    assert [records[i].box_labels for i in range(3)] == [[0], [1, 0], []]
    assert [records.path(i) for i in range(3)] == ["b.jpg", "sub/a.png", "empty.jpg"]
    assert records.root == tmp_path / "images"
    assert records.labels.tolist() == [-1] * 3
    assert records.target(2).boxes.shape == (0, 4)


def test_crowds_and_boxes_of_no_area_are_ignored(tmp_path):
    assert read(write(tmp_path), "instances.json").box_ignored.tolist() == [True, False, True]
    hair = changed(annotation_0={"bbox": [500, 500, 1e-6, 4]})  # no float32 lies between 500 and 500.000001
    assert read(write(tmp_path, hair), "instances.json").box_ignored.tolist() == [True, True, True]


def test_classes_follow_the_category_ids_and_keep_them(tmp_path):
    classes = read(write(tmp_path), "instances.json").classes
    assert (classes.ids, classes.names, classes.numbers) == (("person", "dog"), ("person", "dog"), (1, 18))


def test_images_have_their_number_their_size_and_their_objects_areas(tmp_path):
    records = read(write(tmp_path), "instances.json")
    assert records.numbers.tolist() == [70, 9, 4]
    assert records.sizes.tolist() == [[60, 40], [0, 0], [5, 6]]
    assert records.box_areas.tolist() == [-1, 7.25, -1]


def test_a_file_without_annotations_has_images_without_boxes(tmp_path):
    without = {key: value for key, value in GOOD.items() if key != "annotations"}
    for content in (without, without | {"annotations": []}):
        records = read(write(tmp_path, content), "instances.json")
        assert (len(records), records.boxes.shape) == (3, (0, 4))
        assert records.box_counts().tolist() == [0, 0, 0]
    nothing = read(write(tmp_path, {"images": [], "categories": []}), "instances.json")
    assert (len(nothing), len(nothing.classes)) == (0, 0)


def test_the_annotation_file_is_looked_for_in_and_beside_the_images_and_here(tmp_path, monkeypatch):
    images, places = write(tmp_path), ("images", "", "annotations", "here")
    (tmp_path / "instances.json").unlink()
    (tmp_path / "here").mkdir()
    (tmp_path / "annotations").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match=r"no annotation file 'a\.json'; looked for") as caught:
        open_records(f"coco:{images}:a.json")
    for place in places[:3]:
        assert str(tmp_path / place / "a.json") in str(caught.value)
    for count, place in enumerate(reversed(places), 1):  # each comes before those found so far
        content = changed()
        content["images"] += [{"id": -1 - i, "file_name": f"{i}.jpg"} for i in range(1, count)]
        (tmp_path / place / "a.json").write_text(json.dumps(content))
        assert len(open_records(f"coco:{images}:a.json")) == 2 + count
    assert len(open_records(f"coco:{images}:annotations/a.json")) == 4
    assert len(open_records(f"coco:{images}:{tmp_path / 'here' / 'a.json'}")) == 3


def test_the_images_need_not_be_there(tmp_path):
    file = write(tmp_path).parent / "instances.json"
    assert open_records(f"coco:{tmp_path / 'none'}:{file}").file(0) == tmp_path / "none" / "b.jpg"
    with pytest.raises(InputError, match=r"wanted a split at the end, such as coco:.*:instances\.json"):
        open_records(f"coco:{tmp_path}")


FAULTS = {
    "category": (changed(annotation_1={"category_id": 2}), "annotation 2: category_id 2 is not among the 2 categories"),
    "image": (changed(annotation_2={"image_id": 71}), "annotation 3: image_id 71 is not among the 3 images"),
    "image as text": (
        changed(annotation_0={"image_id": "9"}),
        "annotation 1: image_id: wanted a whole number, got '9'",
    ),
    "image true": (changed(annotation_0={"image_id": True}), "annotation 1: image_id: wanted a whole number, got True"),
    "image huge": (changed(annotation_0={"image_id": 10**30}), "annotation 1: image_id: wanted a whole number"),
    "no box": (changed(annotation_1={"bbox": None}), "annotation 2: wanted bbox .*, got none"),
    "three": (changed(annotation_1={"bbox": [1, 2, 3]}), r"annotation 2: wanted bbox .*, got \[1, 2, 3\]"),
    "words": (changed(annotation_1={"bbox": [1, 2, 3, "4"]}), "annotation 2: bbox: wanted a number of pixels, got '4'"),
    "nan": (changed(annotation_1={"bbox": [1, 2, 3, float("nan")]}), "annotation 2: bbox: .* got nan"),
    "infinite": (changed(annotation_1={"bbox": [1, 2, 3, float("inf")]}), "annotation 2: bbox: .* got inf"),
    "huge": (changed(annotation_1={"bbox": [10**400, 2, 3, 4]}), "annotation 2: bbox: wanted a number of pixels"),
    "negative": (changed(annotation_1={"bbox": [9, 9, -3, 4]}), r"annotation 2: .* a negative side in \[9, 9, -3, 4\]"),
    "crowd": (changed(annotation_1={"iscrowd": "0"}), "annotation 2: wanted iscrowd 0 or 1, got '0'"),
    "area": (changed(annotation_1={"area": []}), r"annotation 2: area: wanted a number of pixels, got \[\]"),
    "no id": (changed(annotation_1={"id": None, "bbox": 1}), "annotation none: wanted bbox"),
    "image twice": (changed(image_1={"id": 70}), "image 70 is listed twice"),
    "image -1": (changed(image_1={"id": -1}), "an image has the id -1, which stands for none here"),
    "image without id": (changed(image_1={"id": None}), "image number 2: id: wanted a whole number, got none"),
    "no file": (changed(image_1={"file_name": None}), "image 9: wanted a file_name, got none"),
    "way out": (changed(image_1={"file_name": "../../etc/passwd"}), "image 9: wanted the name of a file within"),
    "a drive": (changed(image_1={"file_name": "C:\\a.jpg"}), "image 9: wanted the name of a file within"),
    "surrogate": (changed(image_1={"file_name": "\ud800.jpg"}), "image 9: no file can be named"),
    "width": (changed(image_1={"width": -5}), "image 9: width: wanted pixels, got -5"),
    "height": (changed(image_1={"height": 5.5}), "image 9: height: wanted a whole number, got 5.5"),
    "category twice": (changed(category_1={"id": 18}), "category 18 is listed twice"),
    "name twice": (changed(category_1={"name": "dog "}), "category 18: category 1 is named 'dog' too"),
    "no name": (changed(category_1={"name": " "}), "category 1: wanted a name, got ' '"),
    "a name of two lines": (changed(category_1={"name": "a\nb"}), r"category 1: wanted a name, got 'a\\nb'"),
    "no categories": ({"images": [], "annotations": []}, "wanted a list of categories, got none"),
    "a row": (GOOD | {"images": [7]}, "images: number 1: wanted an object, got 7"),
    "results": ([{"image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}], "wanted an object .* a list"),
    "no json": ("{", r"instances\.json: wanted COCO's json: Expecting"),
    "deep": ("[" * 200_000, r"instances\.json: wanted COCO's json: "),
    "long": (f'{{"images": [{"9" * 6000}]}}', r"instances\.json: wanted COCO's json: "),
}


@pytest.mark.parametrize(("content", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_with_the_file_and_the_id(tmp_path, content, message):
    images = write(tmp_path, content)
    with pytest.raises(
        InputError, match=f"instances\\.json: {message}" if "json" not in message else message
    ) as caught:
        read(images, "instances.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_bytes_that_are_no_text_are_told(tmp_path):
    images = write(tmp_path)
    (tmp_path / "instances.json").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="wanted COCO's json"):
        read(images, "instances.json")


def test_a_mark_before_the_first_byte_is_no_fault(tmp_path):
    images = write(tmp_path, "\ufeff" + json.dumps(GOOD))
    assert len(read(images, "instances.json")) == 3


def test_a_real_file_is_what_pycocotools_reads(data_root, capsys):
    from pycocotools.coco import COCO

    file = data_root / "coco-mini/annotations/instances_train2017.json"
    theirs = COCO(str(file))
    records = open_records(f"coco:{data_root / 'coco-mini/train2017'}:annotations/instances_train2017.json")
    assert (len(records), len(records.boxes), len(records.classes)) == (80, 739, 80)
    assert records.box_ignored.sum() == 8  # crowds
    assert list(records.classes.numbers) == theirs.getCatIds()
    assert list(records.classes.names) == [c["name"] for c in theirs.loadCats(theirs.getCatIds())]
    for index, number in enumerate(records.numbers.tolist()):
        image, record = theirs.loadImgs(number)[0], records[index]
        assert (record.path, record.size) == (image["file_name"], (image["width"], image["height"]))
        assert record.size == image_size(records.file(index))
        objects = theirs.loadAnns(theirs.getAnnIds(number))
        assert [records.classes.numbers[label] for label in record.box_labels] == [o["category_id"] for o in objects]
        assert list(record.box_ignored) == [bool(o["iscrowd"]) for o in objects]
        expected = torch.tensor([o["bbox"] for o in objects], dtype=torch.float64).reshape(-1, 4)
        expected[:, 2:] += expected[:, :2]
        assert torch.equal(torch.tensor(record.boxes).reshape(-1, 4), expected.float())
        assert list(record.box_areas or []) == pytest.approx([o["area"] for o in objects])


def test_outlines_take_no_memory(tmp_path):
    """A file of which nine tenths are outlines: what is held beside its text is a fraction of it."""
    import tracemalloc

    from resdet.data.formats.coco_json import load

    outline = [[float(i) + 0.25 for i in range(200)]]
    rows = [
        {"id": i, "image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": outline} for i in range(1000)
    ]
    write(tmp_path, GOOD | {"annotations": rows})
    tracemalloc.start()
    content = load(tmp_path / "instances.json")
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = (tmp_path / "instances.json").stat().st_size
    assert len(content["annotations"]) == 1000
    assert kept < 0.35 * size
    assert peak < 2.7 * size  # its bytes and its text for a moment, then its text and what is kept
