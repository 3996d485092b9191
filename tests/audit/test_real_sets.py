"""What real sets have; each number was counted by a program of its own, with PIL, ElementTree and md5."""

from collections import Counter

import pytest

from resdet.jobs.audit import audit


def found_in(*specs):
    return audit(specs, None, (), lambda items, count, what: items)


def counted(done):
    return dict(Counter(finding.kind for finding in done.findings))


def test_raccoon_has_four_images_twice_and_two_nearly_so(data_root):
    done = found_in(f"voc:{data_root / 'raccoon'}:all")
    assert done.images == 200
    assert counted(done) == {"duplicate": 4, "near-duplicate": 2}
    pairs = {(f.place.rpartition("/")[2], f.text.rpartition("/")[2]) for f in done.findings if f.kind == "duplicate"}
    assert pairs == {
        ("raccoon-11.jpg", "raccoon-116.jpg"),
        ("raccoon-120.jpg", "raccoon-83.jpg"),
        ("raccoon-52.jpg", "raccoon-74.jpg"),
        ("raccoon-65.jpg", "raccoon-98.jpg"),
    }


def test_bccd_has_two_clicks_for_boxes_and_seven_cells_marked_twice(data_root):
    done = found_in(*(f"voc:{data_root / 'bccd'}:{split}" for split in ("train", "val", "test")))
    assert done.images == 364
    assert counted(done) == {"small": 2, "double": 7}
    clicks = sorted(finding.place.rpartition("/")[2] for finding in done.findings if finding.kind == "small")
    assert clicks == ["BloodImage_00338.xml: object 13", "BloodImage_00343.xml: object 4"]
    total = Counter()
    for one in done.checked:
        total += one.boxes
    assert total == {"RBC": 4155, "WBC": 372, "Platelets": 361}


def test_eighty_images_of_coco_are_as_they_should_be(data_root):
    done = found_in(f"coco:{data_root / 'coco-mini' / 'train2017'}:instances_train2017.json")
    assert done.images == 80
    assert sum(done.checked[0].boxes.values()) == 739
    assert counted(done) == {}


def test_the_val_images_of_tiny_imagenet_have_21_boxes_of_one_pixel(data_root):
    done = found_in(f"tiny-imagenet:{data_root / 'tiny-imagenet-200'}:val")
    assert done.images == 5000
    assert counted(done) == {"small": 21}


@pytest.mark.slow
def test_all_of_tiny_imagenet_has_374_boxes_of_one_pixel_and_is_gone_through_in_time(data_root):
    root = data_root / "tiny-imagenet-200"
    done = found_in(f"tiny-imagenet:{root}:train", f"tiny-imagenet:{root}:val")
    assert done.images == 84_955
    assert counted(done) == {"small": 353 + 21}  # no image is there twice, to the byte or nearly
    assert done.images / done.seconds > 100_000 / 180 / 2  # on each of two cores; a busy core may be a few times slower
