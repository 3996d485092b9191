"""What a person reads beside the number: lines that tell what does not fit, and the table."""

from dataclasses import replace

import pytest
from judged_sets import found_in, records_of

from resdet.data.records import Classes
from resdet.eval.det import det_metrics
from resdet.eval.det_errors import error_costs
from resdet.eval.det_rules import judge
from resdet.eval.det_sanity import sanity_lines
from resdet.eval.det_table import det_table
from resdet.predictions.det import predictions

WHOLE, FAR = (0, 0, 99, 99), (300, 300, 399, 399)


def lines_of(found, truth=None, **options):
    truth = [[(0, WHOLE), (1, FAR, True)], []] if truth is None else truth
    return "\n".join(sanity_lines(found, records_of(truth, **options)))


def test_images_boxes_and_classes_are_counted():
    text = lines_of(found_in([[(0, 0.9, WHOLE), (0, 0.8, WHOLE)], []]))
    assert "2 images with 2 true boxes (1 of them difficult or crowds) of 2 classes" in text
    assert "2 detections of 1 classes on 1 images" in text
    assert "detections a class: 0 to 2, median 0" in text
    assert "1 classes never detected, so AP 0: bee" in text
    assert "1 classes without a true box, so without AP: cat" in text
    assert "outside" not in text


def test_no_detections_are_said():
    assert "no detections at all" in lines_of(found_in([[], []]))


def test_shares_of_the_image_in_place_of_pixels_are_recognized():
    text = lines_of(predictions([0, 1], [0, 0], [0.9, 0.8], [(0.1, 0.1, 0.5, 0.9), (0, 0, 1, 1)]))
    assert "every coordinate is at most 1: wanted are pixels" in text


def test_widths_in_place_of_corners_are_recognized():
    text = lines_of(predictions([0, 1], [0, 0], [0.9, 0.8], [(300, 200, 50, 60), (0, 0, 9, 9)]))
    assert "1 detections are upside down or have no area; are they x y width height?" in text


def test_boxes_outside_their_image_are_counted_and_the_first_is_shown():
    found = predictions([0, 1, 1], [0, 0, 0], [0.9, 0.8, 0.7], [(0, 0, 501, 401), (5, 5, 502, 9), (-3, 0, 9, 9)])
    assert "2 detections reach outside their image, the first in 0002: 5 5 502 9 in 500 x 400" in lines_of(found)
    assert "outside" not in lines_of(found, size=(0, 0))  # the annotation does not say


@pytest.mark.parametrize("box", [(-2, 0, 9, 9), (0, -2, 9, 9), (0, 0, 502, 9), (0, 0, 9, 402)], ids=str)
def test_a_box_may_reach_over_none_of_the_four_sides(box):
    assert "1 detections reach outside their image" in lines_of(predictions([0], [0], [0.9], [box]))


def test_of_many_classes_never_detected_five_are_named():
    truth = [[(k, WHOLE) for k in range(7)]]
    text = "\n".join(sanity_lines(found_in([[(0, 0.9, WHOLE)]]), records_of(truth, "abcdefg")))
    assert "6 classes never detected, so AP 0: b, c, d, e, f, ...\n" in f"{text}\n"
    truth = [[(k, WHOLE) for k in range(6)]]
    text = "\n".join(sanity_lines(found_in([[(0, 0.9, WHOLE)]]), records_of(truth, "abcdef")))
    assert "5 classes never detected, so AP 0: b, c, d, e, f\n" in f"{text}\n"


def table_of(metric, names=("ant", "bee", "cat"), errors=False):
    truth, found = [[(k, WHOLE)] for k in range(len(names) - 1)], [[(0, 0.9, WHOLE)]] + [[]] * (len(names) - 2)
    records = records_of(truth, names)
    metrics = det_metrics(found_in(found), records, metric)
    if errors:
        metrics["errors"] = error_costs(judge(found_in(found), records, metric))
    return det_table(metrics)


def test_of_classes_of_one_name_each_has_its_average_precision():
    classes = Classes(("n1", "n2", "n3"), ("crane", "crane", "cat"), (1, 2, 3))
    records = replace(records_of([[(0, WHOLE)], [(1, WHOLE)]]), classes=classes)
    metrics = det_metrics(found_in([[(0, 0.9, WHOLE)], []]), records, "voc12")
    assert metrics["per_class"] == {"crane (n1)": 100, "crane (n2)": 0, "cat": None}
    assert "over all 3 classes 33.33" in det_table(metrics)


def test_the_table_has_classes_means_and_what_errors_cost():
    text = table_of("voc12", errors=True)
    assert "VOC 2010-12, area: 2 images, 2 classes with true boxes" in text
    assert "ant                         100.00" in text
    assert "cat " not in text  # it has no true box
    assert "mAP 50.00   median AP 50.00   over all 3 classes 33.33" in text
    assert "missed         +50.00   (1)" in text


@pytest.mark.parametrize("metric", ["ilsvrc", "voc07", "voc12"])
def test_other_metrics_have_no_line_of_coco(metric):
    assert "AP75" not in table_of(metric)


def test_cocos_numbers_are_shown():
    text = table_of("coco")
    assert "AP 50.00   AP50 50.00   AP75 50.00   APs none   APm none   APl 50.00" in text
    assert "AR1 50.00" in text


def test_of_many_classes_the_worst_and_the_best_are_shown():
    text = table_of("ilsvrc", names=tuple(f"class {k}" for k in range(101)))
    assert "... 80 classes between" in text
    assert len(text.splitlines()) < 30
