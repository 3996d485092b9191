"""What is left out of a corrected set is left out of all of it: annotations, lists and links."""

import json

import broken_sets
import pytest

from resdet.data.formats import open_records
from resdet.jobs.audit import audit
from resdet.jobs.audit_report import write_corrected

RIGHT = (5, 6, 30, 31)


def corrected(folder, *specs):
    """The kinds of what is found, and the corrected sets in ``folder``."""
    done = audit(specs, None, (), lambda items, count, what: items)
    write_corrected(folder, done)
    return sorted(finding.kind for finding in done.findings)


def names_of(spec):
    records = open_records(spec)
    return sorted(records.name(i) for i in range(len(records)))


def cut(file):
    """Take off an image's end."""
    file.write_bytes(file.read_bytes()[:-40])


def draw_kaggle(root, split, names, rows):
    """Images of the first class, and the rows of some of them in Kaggle's table."""
    wnid = broken_sets.WNIDS[0]
    inner = f"{wnid}/" if split == "train" else ""
    listed = root / "ImageSets/CLS-LOC" / {"train": "train_loc.txt", "val": "val.txt"}[split]
    listed.parent.mkdir(parents=True)
    listed.write_text("".join(f"{inner}{name} {number}\n" for number, name in enumerate(names, 1)))
    for number, name in enumerate(names):
        broken_sets.image(root / "Data/CLS-LOC" / split / f"{inner}{name}.JPEG", number)
    table = "".join(f"{name},{wnid} {' '.join(map(str, RIGHT))}\n" for name in rows)
    (root / f"LOC_{split}_solution.csv").write_text(f"ImageId,PredictionString\n{table}")


def test_an_unreadable_train_image_leaves_kaggles_list_which_names_its_folder_too(tmp_path):
    wnid, root = broken_sets.WNIDS[0], tmp_path / "set"
    names = [f"{wnid}_{number}" for number in (1, 2, 3)]
    draw_kaggle(root, "train", names, names)
    cut(root / f"Data/CLS-LOC/train/{wnid}/{names[0]}.JPEG")
    assert corrected(tmp_path / "fixed", f"ilsvrc-loc:{root}:train") == ["unreadable"]
    written = (tmp_path / "fixed/ImageSets/CLS-LOC/train_loc.txt").read_text()
    assert written == f"{wnid}/{names[1]} 2\n{wnid}/{names[2]} 3\n"
    assert names_of(f"ilsvrc-loc:{tmp_path / 'fixed'}:train") == names[1:]


def test_a_val_image_without_a_row_leaves_kaggles_list(tmp_path):
    draw_kaggle(tmp_path / "set", "val", ["a", "b"], ["b"])
    assert "no-annotation" in corrected(tmp_path / "fixed", f"ilsvrc-loc:{tmp_path / 'set'}:val")
    assert (tmp_path / "fixed/ImageSets/CLS-LOC/val.txt").read_text() == "b 2\n"
    assert names_of(f"ilsvrc-loc:{tmp_path / 'fixed'}:val") == ["b"]


def test_a_train_image_that_needs_no_row_stays_in_kaggles_list(tmp_path):
    wnid, root = broken_sets.WNIDS[0], tmp_path / "set"
    names = [f"{wnid}_{number}" for number in (1, 2)]
    draw_kaggle(root, "train", names, names[:1])
    (root / "ImageSets/CLS-LOC/train_loc.txt").rename(root / "ImageSets/CLS-LOC/train_cls.txt")
    assert corrected(tmp_path / "fixed", f"ilsvrc-loc:{root}:train_cls") == []
    assert names_of(f"ilsvrc-loc:{tmp_path / 'fixed'}:train_cls") == names


def test_a_train_box_of_another_class_than_its_image_is_told_and_one_of_no_class_is_the_images(tmp_path):
    first, second = broken_sets.WNIDS
    root, names = tmp_path / "set", [f"{first}_{number}" for number in (1, 2, 3)]
    draw_kaggle(root, "train", names, names)
    box = " ".join(map(str, RIGHT))
    rows = [f"{names[0]},{first} {box}", f"{names[1]},{second} {box}", f"{names[2]},Scottish_deerhound {box}"]
    (root / "LOC_train_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows, ""]))
    done = audit([f"ilsvrc-loc:{root}:train"], None, (), lambda items, count, what: items)
    (found,) = done.findings
    assert (found.kind, found.place) == ("other-class", f"{root / 'LOC_train_solution.csv'}:3: object 1")
    assert found.text == f"class {second!r} in an image of {first!r}"


def draw_voc(root, lists, names):
    """Images that have a cat each."""
    for folder in ("Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for number, name in enumerate(names):
        broken_sets.image(root / "JPEGImages" / f"{name}.jpg", number)
        (root / "Annotations" / f"{name}.xml").write_text(broken_sets.xml([("cat", RIGHT)], 1))
    for split, text in lists.items():
        (root / "ImageSets/Main" / f"{split}.txt").write_text(text)


def test_lines_with_endings_spaces_and_flags_leave_vocs_lists_and_no_other_does(tmp_path):
    root, names = tmp_path / "set", ("a", "a.b", "c d", "e f", "g")
    lists = {"train": "a.jpg\na.b\nc d.jpg\n\ne f\ng\n", "cat_train": "a.jpg 1\na.b.jpg  1\nc d  1\ne f.jpg -1\ng 0\n"}
    draw_voc(root, lists, names)
    for name in ("a", "c d"):
        cut(root / "JPEGImages" / f"{name}.jpg")
    assert corrected(tmp_path / "fixed", f"voc:{root}:train") == ["unreadable"] * 2
    written = tmp_path / "fixed/ImageSets/Main"
    assert (written / "train.txt").read_text() == "a.b\n\ne f\ng\n"
    assert (written / "cat_train.txt").read_text() == "a.b.jpg  1\ne f.jpg -1\ng 0\n"
    assert names_of(f"voc:{tmp_path / 'fixed'}:train") == ["a.b", "e f", "g"]


def test_an_ending_that_is_listed_without_annotation_leaves_vocs_list(tmp_path):
    draw_voc(tmp_path / "set", {"train": "a.jpg\nb.jpg\n"}, "ab")
    (tmp_path / "set/Annotations/a.xml").unlink()
    for split in ("train", "all"):
        assert "no-annotation" in corrected(tmp_path / split, f"voc:{tmp_path / 'set'}:{split}")
        assert names_of(f"voc:{tmp_path / split}:train") == ["b"]


def gone(image, annotation):
    return f"neither this annotation nor its image {image} is there", str(annotation)


def audited(spec):
    done = audit([spec], None, (), lambda items, count, what: items)
    return done, [(finding.kind, finding.text, finding.place) for finding in done.findings]


def test_a_listed_name_with_neither_annotation_nor_image_is_no_image(tmp_path):
    root = tmp_path / "set"
    draw_voc(root, {"train": "a\nb\ngone\n"}, "abc")
    (root / "Annotations/b.xml").unlink()
    done, found = audited(f"voc:{root}:train")
    there = root / "Annotations"
    assert found == [
        ("no-annotation", "not found, though the image is", str(there / "b.xml")),
        ("no-image", *gone(root / "JPEGImages/gone.jpg", there / "gone.xml")),
    ]
    assert done.images == 2
    assert corrected(tmp_path / "fixed", f"voc:{root}:train") == ["no-annotation", "no-image"]
    assert names_of(f"voc:{tmp_path / 'fixed'}:train") == ["a"]


def test_neither_is_told_of_ilsvrcs_lists_too(tmp_path):
    loc, det = tmp_path / "loc", tmp_path / "det"
    spec = broken_sets.draw_loc(loc)
    with (loc / "ImageSets/CLS-LOC/val.txt").open("a") as file:
        file.write("gone 10\n")
    done, found = audited(spec)
    wanted = gone(loc / "Data/CLS-LOC/val/gone.JPEG", loc / "Annotations/CLS-LOC/val/gone.xml")
    assert [row for row in found if "gone" in row[2]] == [("no-image", *wanted)]
    assert done.images == len(broken_sets.NAMES) + 1  # "odd"
    done, found = audited(broken_sets.draw_det(det))  # whose list has "lost", and "none", which needs no XML
    wanted = gone(det / "Data/DET/val/lost.JPEG", det / "Annotations/DET/val/lost.xml")
    assert [row for row in found if "lost" in row[2] or "none" in row[2]] == [("no-image", *wanted)]
    assert done.images == len(broken_sets.NAMES) + 2


@pytest.mark.parametrize("order", [("train", "val"), ("val", "train")])
def test_what_one_split_of_voc_leaves_out_the_other_does_not_bring_back(tmp_path, order):
    draw_voc(tmp_path / "set", {"train": "a\nb\nc\n", "val": "d\ne\n"}, "abcde")
    (tmp_path / "set/Annotations/a.xml").write_text("<annotation><object>")
    outside = broken_sets.xml([("cat", (-3, 5, 30, 31))], 1)
    for name in "cd":
        (tmp_path / "set/Annotations" / f"{name}.xml").write_text(outside)
    cut(tmp_path / "set/JPEGImages/e.jpg")
    specs = [f"voc:{tmp_path / 'set'}:{split}" for split in order]
    found = corrected(tmp_path / "fixed", *specs)
    assert found == ["annotation", "outside", "outside", "refused", "unreadable"]  # val's reader reads train's XML too
    assert sorted(file.stem for file in (tmp_path / "fixed/Annotations").iterdir()) == ["b", "c", "d"]
    assert names_of(f"voc:{tmp_path / 'fixed'}:train") == ["b", "c"]
    assert names_of(f"voc:{tmp_path / 'fixed'}:val") == ["d"]
    assert open_records(f"voc:{tmp_path / 'fixed'}:all").boxes[:, 0].tolist() == [5, 0, 0]


def test_images_that_are_left_out_of_voc_are_not_linked_either(tmp_path):
    draw_voc(tmp_path / "set", {}, "abc")
    cut(tmp_path / "set/JPEGImages/b.jpg")
    (tmp_path / "set/Annotations/c.xml").unlink()
    found = corrected(tmp_path / "fixed", f"voc:{tmp_path / 'set'}:all")
    assert found == ["no-annotation", "unreadable"]
    assert [file.name for file in (tmp_path / "fixed/JPEGImages").iterdir()] == ["a.jpg"]
    assert corrected(tmp_path / "again", f"voc:{tmp_path / 'fixed'}:all") == []
    assert (tmp_path / "again/JPEGImages").is_symlink()


def test_a_smaller_copy_of_localizations_images_is_nothing_to_correct(tmp_path):
    """Its annotations give the size that boxes were drawn at, and it is opened so."""
    spec = broken_sets.draw_loc(tmp_path / "set")
    folder, half = tmp_path / "set", (broken_sets.WIDTH // 2, broken_sets.HEIGHT // 2)
    broken_sets.image(folder / "Data/CLS-LOC/val/a0.JPEG", 0, size=half)
    done = audit([spec], None, (), lambda items, count, what: items)
    assert not [finding for finding in done.findings if "a0" in finding.place]
    write_corrected(tmp_path / "fixed", done)
    xml = "Annotations/CLS-LOC/val/a0.xml"
    assert (tmp_path / "fixed" / xml).read_text() == (folder / xml).read_text()


def test_an_object_of_coco_is_no_larger_than_its_corrected_box(tmp_path):
    """Its area says whether it is small, medium or large; the outline of one that is whole is smaller than its box."""
    broken_sets.image(tmp_path / "images/1.jpg", 1)
    width, height = broken_sets.WIDTH, broken_sets.HEIGHT
    boxes = [[width - 20, height - 20, 50, 50], [-5, 5, 30, 10], [10, 10, 20, 20]]
    shared = {"image_id": 1, "category_id": 1, "iscrowd": 0}
    rows = [shared | {"id": i, "bbox": boxes[i], "area": area} for i, area in enumerate((2500, 120.5, 500))]
    images = [{"id": 1, "file_name": "1.jpg", "width": width, "height": height}]
    content = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert corrected(tmp_path / "fixed", f"coco:{tmp_path / 'images'}:a.json") == ["outside", "outside"]
    written = json.loads((tmp_path / "fixed/a.json").read_text())["annotations"]
    assert [(row["bbox"][2:], row["area"]) for row in written] == [([20, 20], 400), ([25, 10], 120.5), ([20, 20], 500)]
