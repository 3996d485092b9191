"""Every planted fault is found, in each format, with its file and box; corrected annotations are read without any."""

import json
from collections import Counter

import broken_sets
import numpy as np
import pytest

from resdet.data.formats import open_records, split_spec
from resdet.errors import InputError
from resdet.jobs.audit import audit
from resdet.jobs.audit_report import content, write_corrected

COMMON = {"upside-down": 1, "small": 1, "outside": 2, "unreadable": 1, "mislabelled": 1, "size": 1}
WANTED = {
    "voc": {**COMMON, "no-image": 1, "no-annotation": 1, "annotation": 1, "no-number": 1, "unknown-class": 1},
    "loc": {**COMMON, "no-image": 1, "unknown-class": 1},
    "csv": {**COMMON, "size": 0, "no-image": 1, "unknown-class": 1},
    "det": {**COMMON, "no-image": 1, "unknown-class": 1},
    "tiny": {**COMMON, "size": 0, "no-image": 1, "no-annotation": 1, "unknown-class": 1, "annotation": 1},
    "coco": {
        **COMMON,
        "no-image": 2,
        "no-annotation": 1,
        "unknown-class": 1,
        "no-number": 1,
        "no-area": 1,
        "annotation": 1,
    },
}


def found_in(spec, *others, ignored=()):
    return audit([spec, *others], None, ignored, lambda items, count, what: items)


@pytest.fixture(params=WANTED)
def broken(request, tmp_path):
    """A format, and the spec of a set in it with every fault."""
    return request.param, getattr(broken_sets, f"draw_{request.param}")(tmp_path / "set")


def test_what_is_planted_is_what_is_found(broken, tmp_path):
    form, spec = broken
    with pytest.raises(InputError):
        open_records(spec)
    done = found_in(spec)
    assert Counter(f.kind for f in done.findings) == Counter({k: n for k, n in WANTED[form].items() if n}), (
        done.findings
    )
    for finding in done.findings:
        assert str(tmp_path) in finding.place
        assert finding.text
    boxes = {f.kind: f.box for f in done.findings if f.box}
    assert boxes["small"] == broken_sets.FIXED["small"]
    json.dumps(content(done), allow_nan=False)


def test_corrected_annotations_are_read_and_nothing_but_doubt_is_left(broken, tmp_path):
    form, spec = broken
    before = {file: file.read_bytes() for file in (tmp_path / "set").rglob("*") if file.is_file()}
    write_corrected(tmp_path / "fixed", found_in(spec))
    assert before == {file: file.read_bytes() for file in (tmp_path / "set").rglob("*") if file.is_file()}
    name, root, split = split_spec(spec)
    fixed = f"{name}:{tmp_path / 'fixed'}:{split if form != 'voc' else 'train'}"
    if form == "coco":
        fixed = f"{name}:{root}:{tmp_path / 'fixed' / 'a.json'}"
    records = open_records(fixed)
    by_name = {records.name(i): records.target(i).boxes.tolist() for i in range(len(records))}
    for number, kind in enumerate(broken_sets.BOXES):
        if kind in broken_sets.FIXED:
            assert by_name[f"a{number}"][:1] == [list(map(float, broken_sets.FIXED[kind]))], kind
        else:
            assert not by_name.get(f"a{number}")
    assert not {"cut", "lost", "torn"} & by_name.keys()
    left = {finding.kind for finding in found_in(fixed).findings}
    also = {"voc": {"unknown-class"}, "coco": {"unreadable"}, "tiny": {"unreadable"}}.get(form, set())
    assert left <= {"small", "mislabelled", "no-annotation", *also}


def test_what_is_not_corrected_stays_as_it_was(tmp_path):
    spec = broken_sets.draw_voc(tmp_path / "set")
    write_corrected(tmp_path / "fixed", found_in(spec))
    assert (tmp_path / "fixed/Annotations/a0.xml").read_bytes() == (tmp_path / "set/Annotations/a0.xml").read_bytes()
    outside = (tmp_path / "fixed/Annotations/a1.xml").read_text()
    assert "<source>kept</source>" in outside
    assert "<pose>left</pose>" in outside
    assert "<xmin>1</xmin>" in outside
    assert "<xmax>60</xmax>" in outside
    spec = broken_sets.draw_coco(tmp_path / "coco")
    write_corrected(tmp_path / "fixed", found_in(spec))
    written = json.loads((tmp_path / "fixed/a.json").read_text())
    assert written["info"] == "kept"
    assert written["images"][0]["license"] == 1
    assert written["annotations"][0]["segmentation"] == [[1, 2, 3, 4]]


def test_boxes_that_were_drawn_before_the_image_was_turned_are_turned_too(tmp_path):
    from PIL import Image

    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "Annotations").mkdir()
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[5:15, 10:30] = 255  # columns 10 to 29, rows 5 to 14 of the image as it is stored
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "JPEGImages/a.jpg", exif=exif, quality=95)
    (tmp_path / "Annotations/a.xml").write_text(broken_sets.xml([("cat", (10, 5, 29, 14))], 1))
    done = found_in(f"voc:{tmp_path}:all")
    assert [f.kind for f in done.findings] == ["exif"]
    write_corrected(tmp_path / "fixed", done)
    records = open_records(f"voc:{tmp_path / 'fixed'}:all")
    assert records.sizes.tolist() == [[40, 60]]
    image = records.open(0)
    x1, y1, x2, y2 = map(int, records.boxes[0].tolist())
    assert (image.pixels[y1:y2, x1:x2] > 200).all()
    assert (image.pixels > 200).all(2).sum() == (x2 - x1) * (y2 - y1)
    assert not found_in(f"voc:{tmp_path / 'fixed'}:all").findings


def test_images_that_two_splits_share_are_leaks_and_those_in_one_are_duplicates(tmp_path):
    for split, names in (("train", ("a", "b", "c")), ("val", ("a", "d"))):
        for number, name in enumerate(names):
            broken_sets.image(tmp_path / split / "cat" / f"{name}.jpg", ord(name), (240, 160))
            broken_sets.image(
                tmp_path / split / "dog" / f"{name}{number}.jpg", seed=1000 + ord(name) + 7 * (split == "val")
            )
    train, val = f"folder:{tmp_path}:train", f"folder:{tmp_path}:val"
    assert not found_in(train).findings
    (tmp_path / "train/dog/again.jpg").write_bytes((tmp_path / "train/cat/b.jpg").read_bytes())
    found = {f.kind: f for f in found_in(train, val).findings}
    assert found.keys() == {"leak", "duplicate"}
    assert found["leak"].place.endswith("train/cat/a.jpg")
    assert "val/cat/a.jpg" in found["leak"].text
    assert "their classes: cat, dog" in found["duplicate"].text
    import cv2

    picture = cv2.imread(str(tmp_path / "train/cat/c.jpg"))
    cv2.imwrite(str(tmp_path / "val/dog/smaller.jpg"), cv2.resize(picture, (120, 80), interpolation=cv2.INTER_AREA))
    done = found_in(train, val)
    assert {f.kind for f in done.findings} == {"leak", "duplicate", "near-leak"}
    assert {f.kind for f in found_in(train, val, ignored=["leak"]).findings} == {"duplicate", "near-leak"}


def test_a_set_that_cannot_be_opened_is_a_finding_and_the_others_are_gone_through(tmp_path):
    spec = broken_sets.draw_voc(tmp_path / "set")
    done = found_in(f"voc:{tmp_path}/nowhere:all", spec)
    assert [f.kind for f in done.findings].count("refused") == 1
    assert done.images == 12
    assert len(done.findings) > 10


def test_annotations_without_an_image_are_no_images_and_a_set_of_none_is_a_finding(tmp_path):
    (tmp_path / "imgs").mkdir()
    nothing = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    lost = {**nothing, "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 5, 5]}]}
    for name, described in (("nothing", nothing), ("lost", lost)):
        (tmp_path / f"{name}.json").write_text(json.dumps(described))
        done = found_in(f"coco:{tmp_path / 'imgs'}:{tmp_path / name}.json")
        assert done.images == 0
        assert "refused" in {finding.kind for finding in done.findings}


def test_an_annotation_without_an_image_is_told_of_train_too_where_nothing_lists_its_images(tmp_path):
    folder = tmp_path / "Annotations/CLS-LOC/train/cat"
    folder.mkdir(parents=True)
    for name in ("a", "lost"):
        (folder / f"{name}.xml").write_text(broken_sets.xml([("cat", broken_sets.BOXES["right"])], 0))
    broken_sets.image(tmp_path / "Data/CLS-LOC/train/cat/a.jpg", 90)
    spec = f"ilsvrc-loc:{tmp_path}:train"
    assert [(f.kind, f.place) for f in found_in(spec).findings] == [("no-image", str(folder / "lost.xml"))]
    (tmp_path / "ImageSets/CLS-LOC").mkdir(parents=True)
    (tmp_path / "ImageSets/CLS-LOC/train_cls.txt").write_text("cat/a 1\n")
    assert not found_in(spec).findings  # a part of the images has been chosen


def test_photographs_that_a_classifiers_training_leaves_out_are_told(tmp_path):
    for seed, name in enumerate(("cat/a.jpg", "dog/b.jpg", "dog/d.jpg", "dog/deep/c.HEIC")):
        broken_sets.image(tmp_path / name, seed)
    done = found_in(f"folder:{tmp_path}")
    assert [(f.kind, f.place) for f in done.findings] == [("unreadable", str(tmp_path / "dog/deep/c.HEIC"))]
    assert done.images == 3
