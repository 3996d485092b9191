"""Errors of parts of a data set, counted by hand on eight images."""

from pathlib import Path

import numpy as np
import pytest

from resdet.data.records import Classes, Record, pack
from resdet.eval.loc import loc_metrics, loc_outcomes
from resdet.eval.loc_breakdown import loc_breakdown, object_boxes, worst_images
from resdet.predictions.loc import LocPredictions

CLASSES = Classes(("n0", "n1", "n2"), ("cat", "crane", "crane"))  # two classes may have one name
SIZE = (100, 100)
# label, boxes in continuous pixels, image size; what was guessed: (label, box in inclusive pixels)
IMAGES = [
    (0, [(0, 0, 10, 10)], SIZE, [(0, (0, 0, 9, 9))]),  # right
    (0, [(0, 0, 10, 10)], SIZE, [(0, (50, 50, 59, 59))]),  # the box is wrong
    (0, [(0, 0, 20, 80)], SIZE, [(1, (0, 0, 19, 79))]),  # the class is wrong
    (1, [(0, 0, 60, 80)], SIZE, [(0, (90, 90, 99, 99))]),  # both
    (1, [(0, 0, 9, 9), (40, 40, 72, 72)], SIZE, [(0, (0, 0, 3, 3)), (1, (40, 40, 71, 71))]),  # right, second guess
    (1, [(0, 0, 10, 30)], (0, 0), [(1, (0, 0, 9, 29))]),  # right; nobody knows how large the image is
    (1, [], SIZE, [(1, (0, 0, 9, 9))]),  # no box to hit
    (0, [(0, 0, 10, 10)], SIZE, [(1, (90, 90, 99, 99))]),  # blacklisted below
]
BLACKLIST = np.array([False] * 7 + [True])


@pytest.fixture
def judged():
    rows = [Record(f"{i}.jpg", label, boxes, size=size) for i, (label, boxes, size, _) in enumerate(IMAGES)]
    records = pack(Path("set"), CLASSES, rows)
    labels, boxes = np.full((len(IMAGES), 2), -1), np.zeros((len(IMAGES), 2, 4))
    for i, (*_, guesses) in enumerate(IMAGES):
        for j, (label, box) in enumerate(guesses):
            labels[i, j], boxes[i, j] = label, box
    return loc_outcomes(LocPredictions(labels, boxes), records), records


def test_classes_have_their_own_errors_by_their_id(judged):
    found = loc_breakdown(*judged, BLACKLIST)["per_class"]
    assert list(found) == ["n0", "n1"]  # no image is of n2
    cat, crane = found["n0"], found["n1"]
    assert (cat["name"], cat["images"], crane["name"], crane["images"]) == ("cat", 3, "crane", 4)
    assert cat["cls_top5_error"] == pytest.approx(100 / 3)
    assert cat["loc_top5_error"] == pytest.approx(200 / 3)
    assert cat["errors"] == pytest.approx(
        {"correct": 100 / 3, "class_wrong": 100 / 3, "box_wrong": 100 / 3, "both_wrong": 0}
    )
    assert crane["errors"] == pytest.approx({"correct": 50, "class_wrong": 0, "box_wrong": 25, "both_wrong": 25})
    assert cat["gt_class_loc_error"] is None, "of one image the true class was not guessed"
    assert cat["ci95"][0] <= cat["loc_top5_error"] <= cat["ci95"][1]


def test_objects_go_by_size_share_and_shape_of_the_largest_box(judged):
    found = loc_breakdown(*judged, BLACKLIST)

    def images(key):
        return {bounds: group["images"] for bounds, group in found[key].items()}

    # sides: 10, 10, 40, 69.3, 32, 17.3
    assert images("per_side") == {"0-16": 2, "16-24": 1, "32-48": 2, "64-96": 1}
    # 1, 1, 16, 48 and 10.24 %; one image's size is not known
    assert images("per_share") == {"0-5": 2, "5-15": 1, "15-30": 1, "30-60": 1}
    # 1, 1, 0.25, 0.75, 1, 0.33
    assert images("per_aspect") == {"0-0.5": 2, "0.5-0.8": 1, "0.8-1.25": 3}
    assert found["per_side"]["0-16"]["loc_top5_error"] == 50
    assert found["per_side"]["0-16"]["gt_class_loc_error"] == 50
    assert found["per_aspect"]["0.5-0.8"]["errors"]["both_wrong"] == 100


def test_the_parts_sum_to_the_whole(judged):
    outcomes, records = judged
    whole, found = loc_metrics(outcomes, BLACKLIST), loc_breakdown(outcomes, records, BLACKLIST)["per_class"]
    total = sum(group["images"] for group in found.values())
    assert total == whole["images"] - whole["blacklisted"]
    for name in whole["errors"]:
        mean = sum(group["images"] * group["errors"][name] for group in found.values()) / total
        assert mean == pytest.approx(whole["errors"][name])


def test_the_largest_box_of_the_images_class_is_its_object_and_the_first_of_equals():
    rows = [
        Record("a.jpg", 0, [(0, 0, 4, 9), (1, 1, 7, 7), (0, 0, 2, 2)]),
        Record("b.jpg", 0, [(0, 0, 9, 9), (0, 0, 5, 5)], [1, 0]),
        Record("c.jpg", 0),
    ]
    boxes = object_boxes(pack(Path("set"), CLASSES, rows))
    assert boxes[:2].tolist() == [[0, 0, 4, 9], [0, 0, 5, 5]]
    assert np.isnan(boxes[2]).all()


def test_the_worst_images_are_wrong_ones_of_least_overlap_then_of_the_largest_object(judged):
    # wrong: 1 (no overlap, 10 x 10), 2 (its wrong class's box fits), 3 (no overlap, 60 x 80), 6 (no object at all)
    assert worst_images(*judged, BLACKLIST).tolist() == [3, 1, 6, 2]
    assert worst_images(*judged, BLACKLIST, most=2).tolist() == [3, 1]
    assert worst_images(*judged, np.zeros(8, bool)).tolist() == [3, 1, 7, 6, 2]


def test_where_the_true_classs_box_is_known_it_is_what_counts():
    records = pack(Path("set"), CLASSES, [Record(f"{i}.jpg", 0, [(0, 0, 10, 10)]) for i in range(3)])
    labels, boxes = np.ones((3, 1), np.int64), np.tile([0.0, 0, 9, 9], (3, 1, 1))  # a wrong class, a perfect box
    of_class = np.array([[0.0, 0, 9, 4], [0, 0, 9, 0], [0, 0, 9, 9]])  # IoU 0.5, 0.1, 1
    outcomes = loc_outcomes(LocPredictions(labels, boxes, of_class), records)
    np.testing.assert_allclose(outcomes.iou[:, [0, 5]], [[1, 0.5], [1, 0.1], [1, 1]])
    assert np.isnan(outcomes.iou[:, 1:5]).all()
    first = loc_outcomes(LocPredictions(0 * labels, boxes, of_class), records)  # a guess of label 0 is no missing one
    np.testing.assert_array_equal(first.iou, outcomes.iou)
    assert worst_images(outcomes, records, np.zeros(3, bool)).tolist() == [1, 0, 2]
    found = loc_breakdown(outcomes, records, np.zeros(3, bool))["per_class"]["n0"]
    assert found["gt_class_loc_error"] == pytest.approx(100 / 3)
    assert found["errors"]["class_wrong"] == 100
