"""Images that are described or listed twice, sums of splits, and what is counted of each class."""

import json

import broken_sets
import pytest

from resdet.data.formats import open_records
from resdet.jobs.audit import audit
from resdet.jobs.audit_report import content, summary, write_corrected


def found_in(*specs):
    return audit(specs, None, (), lambda items, count, what: items)


def coco(folder, ids, files, sizes=None):
    """One box of a cat in each image, each at another place."""
    for number, name in enumerate(sorted(set(files))):
        broken_sets.image(folder / "images" / name, number)
    size = sizes or {"width": broken_sets.WIDTH, "height": broken_sets.HEIGHT}
    described = {
        "images": [{"id": number, "file_name": name, **size} for number, name in zip(ids, files, strict=True)],
        "annotations": [
            {"id": at, "image_id": number, "category_id": 1, "bbox": [10 * at, 2, 20, 20]}
            for at, number in enumerate(ids)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "cow"}],
    }
    (folder / "a.json").write_text(json.dumps(described))
    return f"coco:{folder / 'images'}:{folder / 'a.json'}"


@pytest.mark.parametrize(
    ("ids", "files", "kept"),
    [
        ((1, 2, 1), ("a.jpg", "b.jpg", "a.jpg"), {1: [0, 20], 2: [10]}),  # the reader refuses it
        ((1, 2, 3), ("a.jpg", "b.jpg", "a.jpg"), {1: [0, 20], 2: [10]}),
        ((1, 1, 2), ("a.jpg", "b.jpg", "c.jpg"), {1: [0, 10], 2: [20]}),
    ],
    ids=["a row twice", "a file twice", "an id twice"],
)
def test_an_image_that_coco_describes_twice_is_one_finding_and_is_made_one(tmp_path, ids, files, kept):
    spec = coco(tmp_path / "set", ids, files)
    done = found_in(spec)
    assert [finding.kind for finding in done.findings] == ["annotation"]
    write_corrected(tmp_path / "fixed", done)
    records = open_records(f"coco:{tmp_path / 'set' / 'images'}:{tmp_path / 'fixed' / 'a.json'}")
    lefts = {int(records.numbers[i]): records.target(i).boxes[:, 0].tolist() for i in range(len(records))}
    assert lefts == kept


def test_an_image_of_two_rows_of_tiny_imagenet_keeps_the_first(tmp_path):
    for name in "ab":
        broken_sets.image(tmp_path / "set/val/images" / f"{name}.JPEG", ord(name))
    (tmp_path / "set/wnids.txt").write_text("\n".join(broken_sets.WNIDS))
    (tmp_path / "set/words.txt").write_text("")
    rows = (("a", 0, 5), ("b", 1, 6), ("a", 1, 7))
    text = "".join(f"{name}.JPEG\t{broken_sets.WNIDS[wnid]}\t{x1}\t6\t30\t31\n" for name, wnid, x1 in rows)
    (tmp_path / "set/val/val_annotations.txt").write_text(text)
    done = found_in(f"tiny-imagenet:{tmp_path / 'set'}:val")
    assert [finding.kind for finding in done.findings] == ["annotation"]
    assert done.findings[0].place.endswith("val_annotations.txt:3")
    write_corrected(tmp_path / "fixed", done)
    records = open_records(f"tiny-imagenet:{tmp_path / 'fixed'}:val")
    assert records.boxes[:, 0].tolist() == [5, 6]


def test_a_line_that_a_list_repeats_is_one_image_in_every_format(tmp_path):
    loc, det = broken_sets.WNIDS[0], "n02672831"
    trees = {
        "voc": ("train", "ImageSets/Main/train.txt", "Annotations", "JPEGImages", "cat", "jpg"),
        "ilsvrc-loc": (
            "val",
            "ImageSets/CLS-LOC/val.txt",
            "Annotations/CLS-LOC/val",
            "Data/CLS-LOC/val",
            loc,
            "JPEG",
        ),
        "ilsvrc-det": ("val", "ImageSets/DET/val.txt", "Annotations/DET/val", "Data/DET/val", det, "JPEG"),
    }
    for form, (split, listed, annotations, images, name, ending) in trees.items():
        root = tmp_path / form
        for folder in (listed.rpartition("/")[0], annotations, images):
            (root / folder).mkdir(parents=True)
        for stem in "ab":
            broken_sets.image(root / images / f"{stem}.{ending}", ord(stem))
            (root / annotations / f"{stem}.xml").write_text(broken_sets.xml([(name, (5, 6, 30, 31))], 1))
        (root / listed).write_text("a\nb\na\n" if form == "voc" else "a 1\nb 2\na 3\n")
        assert [open_records(f"{form}:{root}:{split}").name(i) for i in (0, 1)] == ["a", "b"]
        assert len(open_records(f"{form}:{root}:{split}")) == 2
        assert not found_in(f"{form}:{root}:{split}").findings


def test_what_two_parts_of_a_sum_share_is_there_twice_and_no_leak(tmp_path):
    spec = coco(tmp_path, (1, 2), ("a.jpg", "b.jpg"))
    assert [finding.kind for finding in found_in(f"{spec} + {spec}").findings] == ["duplicate"] * 2
    assert [finding.kind for finding in found_in(spec, spec).findings] == ["leak"] * 2


def test_images_and_boxes_are_counted_of_each_class_those_that_have_none_too(tmp_path):
    spec = coco(tmp_path, (1, 2), ("a.jpg", "b.jpg"))
    described = json.loads((tmp_path / "a.json").read_text())
    described["annotations"] += [
        {"id": 7, "image_id": 1, "category_id": 1, "bbox": [40, 20, 15, 15]},
        {"id": 8, "image_id": 2, "category_id": 3, "bbox": [40, 20, 15, 15]},
    ]
    (tmp_path / "a.json").write_text(json.dumps(described))
    done = found_in(spec)
    counted = {"cat": {"images": 2, "boxes": 3}, "cow": {"images": 1, "boxes": 1}, "dog": {"images": 0, "boxes": 0}}
    assert content(done)["sets"][0]["classes"] == counted
    assert "  1 more classes have none: dog" in summary(done)


def test_a_width_without_a_height_is_no_size(tmp_path):
    spec = coco(tmp_path, (1,), ("a.jpg",), {"height": broken_sets.HEIGHT})
    assert not found_in(spec).findings
    assert open_records(spec).sizes.tolist() == [[0, 0]]
    spec = coco(tmp_path, (1,), ("a.jpg",), {"width": 7, "height": broken_sets.HEIGHT})
    assert [finding.kind for finding in found_in(spec).findings] == ["size"]
