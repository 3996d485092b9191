"""Confusion matrices, worked by hand."""

from pathlib import Path

import numpy as np
import pytest

from resdet.data.records import Classes, Record, pack
from resdet.eval.confusion import box_confusion, class_confusion, confused_line, most_confused, write_matrix
from resdet.predictions.det import predictions

NAMES = ("cat", "dog", "cow")
CAT, DOG, COW = range(3)
A, B, C = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0), (40.0, 0.0, 50.0, 10.0)


def records(*images):
    """Each image a list of (label, box), or (label, box, True) for one that is ignored."""
    rows = [
        Record(f"{i}.jpg", -1, [o[1] for o in objects], [o[0] for o in objects], [len(o) > 2 for o in objects])
        for i, objects in enumerate(images)
    ]
    return pack(Path(), Classes(NAMES, NAMES), rows)


def found(*rows):
    """Rows of image, label, score, box."""
    images, labels, scores, boxes = zip(*rows, strict=True) if rows else ((), (), (), ())
    return predictions(images, labels, scores, boxes)


def cells(matrix):
    return {(int(r), int(c)): int(matrix[r, c]) for r, c in zip(*matrix.nonzero(), strict=True)}


def test_guesses_are_counted_by_the_true_class_and_a_missing_one_in_the_last_column():
    matrix = class_confusion(np.array([0, 1, 1, 2, -1, 0]), np.array([0, 0, 1, 0, 2, 0]), 3)
    assert matrix.shape == (4, 4)
    assert cells(matrix) == {(0, 0): 2, (0, 1): 1, (1, 1): 1, (0, 2): 1, (2, 3): 1}


def test_objects_are_found_as_another_class_missed_or_seen_where_nothing_is():
    truth = records([(CAT, A), (DOG, B)], [(COW, A)])
    seen = found((0, DOG, 0.9, A), (0, DOG, 0.8, B), (0, CAT, 0.7, C), (1, COW, 0.2, A))
    assert cells(box_confusion(seen, truth)) == {(CAT, DOG): 1, (DOG, DOG): 1, (3, CAT): 1, (COW, 3): 1}
    assert cells(box_confusion(seen, truth, score=0.1))[COW, COW] == 1


def test_the_surest_takes_an_object_and_the_next_is_one_too_many():
    truth = records([(CAT, A)])
    seen = found((0, CAT, 0.6, A), (0, DOG, 0.9, (1.0, 0.0, 11.0, 10.0)))
    assert cells(box_confusion(seen, truth)) == {(CAT, DOG): 1, (3, CAT): 1}


def test_a_detection_takes_the_free_object_that_it_overlaps_best():
    near = (2.0, 0.0, 12.0, 10.0)  # IoU with A: 80 / 120
    truth = records([(CAT, A), (DOG, near)])
    seen = found((0, COW, 0.9, near), (0, CAT, 0.8, near))
    assert cells(box_confusion(seen, truth)) == {(DOG, COW): 1, (CAT, CAT): 1}


@pytest.mark.parametrize(("shift", "hits"), [(5.0, 0), (10 / 3, 1)])
def test_half_an_overlap_is_needed(shift, hits):
    """IoU (10 - s) / (10 + s): a third, and a half."""
    box = (shift, 0.0, 10.0 + shift, 10.0)
    assert box_confusion(found((0, CAT, 0.9, box)), records([(CAT, A)]), iou=0.5 - 1e-9)[CAT, CAT] == hits


def test_what_lies_on_ignored_boxes_alone_does_not_count():
    truth = records([(CAT, A, True), (DOG, B)])
    seen = found((0, CAT, 0.9, A), (0, COW, 0.8, A), (0, DOG, 0.7, B))
    assert cells(box_confusion(seen, truth)) == {(DOG, DOG): 1}


def test_a_crowd_holds_what_lies_in_it_however_large_it_is():
    truth = records([(CAT, (0.0, 0.0, 100.0, 100.0), True), (DOG, B)])
    seen = found((0, CAT, 0.9, A), (0, DOG, 0.8, B), (0, CAT, 0.7, (98.0, 0.0, 108.0, 10.0)))
    assert cells(box_confusion(seen, truth, crowds=True)) == {(DOG, DOG): 1, (3, CAT): 1}
    assert cells(box_confusion(seen, truth)) == {(DOG, DOG): 1, (3, CAT): 2}  # by VOC's rule a difficult one does not


def test_what_is_blacklisted_is_in_no_cell():
    truth = records([(CAT, A), (DOG, B)], [(CAT, A)])
    seen = found((0, CAT, 0.9, C), (0, DOG, 0.8, B), (1, CAT, 0.7, C))
    cat_of_the_first = np.array([[0, CAT]])
    assert cells(box_confusion(seen, truth, left_out=cat_of_the_first)) == {(DOG, DOG): 1, (CAT, 3): 1, (3, CAT): 1}


def test_nothing_found_and_nothing_there():
    assert cells(box_confusion(found(), records([(CAT, A)]))) == {(CAT, 3): 1}
    assert cells(box_confusion(found((0, CAT, 0.9, A)), records([]))) == {(3, CAT): 1}


def test_the_most_frequent_mistakes_come_first_and_the_matrix_is_a_table(tmp_path):
    matrix = class_confusion(np.array([1, 1, 2, -1, 0]), np.array([0, 0, 0, 2, 0]), 3)
    assert most_confused(matrix, NAMES, 2) == [
        {"true": "cat", "found": "dog", "count": 2},
        {"true": "cat", "found": "cow", "count": 1},
    ]
    assert most_confused(matrix, NAMES)[-1] == {"true": "cow", "found": "(nothing)", "count": 1}
    line = confused_line(most_confused(matrix, NAMES), 2)
    assert line == "most often taken for another: cat as dog (2), cat as cow (1)"
    assert confused_line(most_confused(np.diag([3, 2, 1, 0]), NAMES)) == "most often taken for another: none"
    write_matrix(tmp_path / "a.csv", matrix, NAMES)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "true \\ found,cat,dog,cow,(nothing)"
    assert lines[1] == "cat,1,2,1,0"
    assert len(lines) == 5
