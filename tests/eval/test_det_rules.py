"""ILSVRC's and VOC's rules: cases worked by hand, and the published loops as an oracle."""

import numpy as np
import pytest
from devkit_loops import ilsvrc, voc
from hypothesis import given, settings
from judged_sets import NAMES, found_in, judged_sets, records_of, truth_as_found

from resdet.data.records import Classes, Record, pack
from resdet.errors import InputError
from resdet.eval.det import default_metric, det_metrics
from resdet.eval.det_rules import ilsvrc_least
from resdet.predictions.det import predictions

WHOLE = (0, 0, 99, 99)  # 100 x 100 pixels
HALF = (0, 0, 99, 49)  # of them: an IoU of exactly 0.5
LESS = (0, 0, 99, 48)  # 0.49
SHIFTED = (0, 20, 99, 119)  # 8000 of 12000 shared: two thirds
FAR = (300, 300, 399, 399)
ANT, BEE, CAT = 0, 1, 2


def ap_of(metric, truth, found, name="ant"):
    return det_metrics(found_in(found), records_of(truth), metric)["per_class"][name]


RULES = ("ilsvrc", "voc07", "voc12")


@pytest.mark.parametrize("metric", RULES)
@pytest.mark.parametrize(
    ("truth", "found", "ap"),
    [
        ([[(ANT, WHOLE)]], [[(ANT, 0.9, WHOLE)]], 100),
        ([[(ANT, WHOLE)]], [[(ANT, 0.9, HALF)]], 100),  # an IoU of exactly 0.5 is a hit
        ([[(ANT, WHOLE)]], [[(ANT, 0.9, LESS)]], 0),
        ([[(ANT, WHOLE)]], [[(BEE, 0.9, WHOLE)]], 0),
        ([[(ANT, WHOLE)]], [[]], 0),  # a class without detections
        ([[(ANT, WHOLE)], []], [[], [(ANT, 0.9, WHOLE)]], 0),  # the right box in another image
        (
            [[(ANT, WHOLE)]],
            [[(ANT, 0.9, WHOLE), (ANT, 0.8, WHOLE)]],
            100,
        ),  # a duplicate after the last hit costs nothing
        ([[(ANT, WHOLE)]], [[(ANT, 0.8, WHOLE), (ANT, 0.9, FAR)]], 50),  # a surer wrong one: precision 1/2
        ([[(ANT, WHOLE)]], [[(ANT, 0.9, (99, 99, 0, 0))]], 0),  # upside down
        ([[(ANT, WHOLE)], [], [(BEE, FAR)]], [[(ANT, 0.9, WHOLE)], [], []], 100),  # empty images
    ],
)
def test_average_precision_of_one_class(metric, truth, found, ap):
    assert ap_of(metric, truth, found) == pytest.approx(ap)


def test_a_duplicate_before_the_last_hit_costs_precision():
    truth = [[(ANT, WHOLE)], [(ANT, WHOLE)]]
    found = [[(ANT, 0.9, WHOLE), (ANT, 0.8, WHOLE)], [(ANT, 0.7, WHOLE)]]  # right, wrong, right: 1, 1/2, 2/3
    assert ap_of("voc12", truth, found) == pytest.approx(100 * (0.5 * 1 + 0.5 * 2 / 3))
    assert ap_of("ilsvrc", truth, found) == pytest.approx(100 * (0.5 * 1 + 0.5 * 2 / 3))
    # recalls 0 to 0.5 are six of eleven points, where the best precision is 1; at the other five it is 2/3
    assert ap_of("voc07", truth, found) == pytest.approx(100 * (6 * 1 + 5 * 2 / 3) / 11)


def test_a_taken_box_is_passed_over_by_ilsvrc_and_wrong_for_voc():
    truth = [[(ANT, WHOLE), (ANT, SHIFTED)]]
    between = (0, 5, 99, 104)  # nearer to WHOLE (95 of 105) than to SHIFTED (85 of 115)
    found = [[(ANT, 0.9, WHOLE), (ANT, 0.8, between)]]
    assert ap_of("ilsvrc", truth, found) == pytest.approx(100)
    assert ap_of("voc12", truth, found) == pytest.approx(50)


def test_a_small_object_may_be_missed_by_more_for_ilsvrc_alone():
    small = (0, 0, 9, 9)  # 100 / (20 * 20): an IoU of 0.25 is enough
    quarter, less = (0, 0, 4, 4), (0, 0, 4, 3)  # 25 and 20 of 100 pixels
    assert ap_of("ilsvrc", [[(ANT, small)]], [[(ANT, 0.9, quarter)]]) == 100
    assert ap_of("ilsvrc", [[(ANT, small)]], [[(ANT, 0.9, less)]]) == 0
    assert ap_of("voc12", [[(ANT, small)]], [[(ANT, 0.9, quarter)]]) == 0


def test_the_threshold_of_small_objects_is_by_both_sides():
    boxes = np.array([[0, 0, 10, 10], [5, 5, 35, 25], [0, 0, 25, 25], [0, 0, 1, 1], [0, 0, 500, 2]], dtype=float)
    expected = [100 / 400, min(0.5, 600 / 1200), 0.5, 1 / 121, 1000 / 6120]
    assert ilsvrc_least(boxes).tolist() == pytest.approx(expected)


def test_a_true_box_of_no_area_is_hit_by_nothing():
    flat = (5, 5, 4, 50)  # COCO's of width 0: for ILSVRC it counts, and an IoU of 0 would be "enough"
    assert ap_of("ilsvrc", [[(ANT, flat)]], [[(ANT, 0.9, FAR), (ANT, 0.8, flat)]]) == 0
    assert ap_of("ilsvrc", [[(ANT, flat), (ANT, WHOLE)]], [[(ANT, 0.9, FAR), (ANT, 0.8, WHOLE)]]) == 25


def test_difficult_objects_neither_help_nor_harm_in_voc_and_count_in_ilsvrc():
    truth = [[(ANT, WHOLE, True), (ANT, FAR)]]
    found = [[(ANT, 0.9, WHOLE), (ANT, 0.8, WHOLE), (ANT, 0.7, FAR)]]
    assert ap_of("voc12", truth, found) == 100  # both at the difficult one are ignored
    assert ap_of("voc12", truth, [[(ANT, 0.9, WHOLE)]]) == 0
    assert ap_of("ilsvrc", truth, found) == pytest.approx(100 * (0.5 + 0.5 * 2 / 3))


def test_the_best_box_decides_in_voc_also_where_it_is_difficult():
    truth = [[(ANT, WHOLE, True), (ANT, SHIFTED)]]
    assert ap_of("voc12", truth, [[(ANT, 0.9, (0, 9, 99, 108))]]) == 0  # nearer to the difficult one: ignored
    assert ap_of("voc12", truth, [[(ANT, 0.9, (0, 11, 99, 110))]]) == 100


def test_equal_scores_rank_by_image_number_in_ilsvrc_and_by_row_in_voc():
    truth = [[(ANT, WHOLE)], []]
    right, wrong = (0, ANT, 0.5, (0, 0, 100, 100)), (1, ANT, 0.5, (0, 0, 100, 100))
    for rows, voc_ap in (((right, wrong), 100), ((wrong, right), 50)):
        found = predictions(*zip(*rows, strict=True))
        assert det_metrics(found, records_of(truth), "voc12")["mAP"] == voc_ap
        assert det_metrics(found, records_of(truth), "ilsvrc")["mAP"] == 100  # image 1 before image 2
    backwards = [Record("a.jpg", -1, [(0, 0, 100, 100)], [ANT], number=2), Record("b.jpg", -1, number=1)]
    records = pack(records_of([]).root, Classes(NAMES, NAMES), backwards)
    assert det_metrics(predictions(*zip(right, wrong, strict=True)), records, "ilsvrc")["mAP"] == 50


def test_eleven_points_are_those_of_the_published_code():
    """Of ten objects three are found, without an error: recall reaches 0.3, and not 0.1 * 3, which is a little more."""
    truth = [[(ANT, WHOLE)] for _ in range(10)]
    found = [[(ANT, 0.9, WHOLE)] if i < 3 else [] for i in range(10)]
    assert ap_of("voc07", truth, found) == pytest.approx(100 * 3 / 11)
    assert ap_of("voc12", truth, found) == pytest.approx(30)


def test_the_mean_is_over_classes_with_true_boxes_and_beside_it_over_all():
    truth = [[(ANT, WHOLE), (BEE, FAR)]]
    metrics = det_metrics(found_in([[(ANT, 0.9, WHOLE), (CAT, 0.9, WHOLE)]]), records_of(truth), "ilsvrc")
    assert metrics == {
        "metric": "ilsvrc",
        "images": 1,
        "mAP": 50,
        "median_AP": 50,
        "mAP_all_classes": pytest.approx(100 / 3),
        "per_class": {"ant": 100, "bee": 0, "cat": None},
    }


def test_a_class_left_out_of_an_image_loses_true_boxes_and_detections_there():
    truth = [[(ANT, WHOLE), (BEE, WHOLE)], [(ANT, WHOLE)]]
    found = [[(ANT, 0.9, FAR), (BEE, 0.9, FAR)], [(ANT, 0.8, WHOLE)]]
    metrics = det_metrics(found_in(found), records_of(truth), "ilsvrc", left_out=np.array([[0, ANT]]))
    assert metrics["per_class"] == {"ant": 100, "bee": 0, "cat": None}
    with pytest.raises(InputError, match="every true box is left out"):
        det_metrics(found_in(found[:1]), records_of([[(ANT, WHOLE)]]), "ilsvrc", left_out=np.array([[0, ANT]]))


def test_coordinates_that_are_no_pixels_hit_nothing_and_warn_of_nothing():
    found = predictions([0, 0], [ANT, ANT], [0.9, 0.8], [(-1e300, -1e300, 1e300, 1e300), (0, 0, 100, 100)])
    for metric, ap in (*((rule, 50) for rule in RULES), ("coco", 100)):  # pycocotools leaves out what is so large
        assert det_metrics(found, records_of([[(ANT, WHOLE)]]), metric)["mAP"] == pytest.approx(ap)


@pytest.mark.parametrize("metric", [*RULES, "coco"])
@pytest.mark.parametrize(
    ("image", "label", "said"),
    [
        (2, ANT, r"DetPredictions.images must be 0 .. 1, got 2 in row 1"),
        (-1, ANT, r"DetPredictions.images must be 0 .. 1, got -1 in row 1"),
        (0, 3, r"DetPredictions.labels must be 0 .. 2, got 3 in row 1"),  # counted from 1: of the next image's ants
        (0, -1, r"DetPredictions.labels must be 0 .. 2, got -1 in row 1"),
    ],
)
def test_detections_of_what_the_records_do_not_have_are_refused(metric, image, label, said):
    records = records_of([[(CAT, WHOLE)], [(ANT, WHOLE)]])
    with pytest.raises(ValueError, match=said):
        # (the first of several is told)
        det_metrics(predictions([0, image, image], [CAT, label, label], [0.9, 0.8, 0.7], [WHOLE] * 3), records, metric)


def test_no_other_metric_goes_by_the_name_of_one():
    with pytest.raises(ValueError, match="metric must be one of ilsvrc, voc07, voc12, coco, got 'VOC07'"):
        det_metrics(found_in([[]]), records_of([[(ANT, WHOLE)]]), "VOC07")


def test_a_set_without_boxes_cannot_be_evaluated():
    with pytest.raises(InputError, match="not one of the 2 images has a box"):
        det_metrics(found_in([[], []]), records_of([[], []]), "ilsvrc")
    difficult = records_of([[(ANT, WHOLE, True)]])
    with pytest.raises(InputError, match="not one of the 1 images has a box"):
        det_metrics(found_in([[]]), difficult, "voc12")
    assert det_metrics(found_in([[(ANT, 0.9, WHOLE)]]), difficult, "ilsvrc")["mAP"] == 100  # there every box counts
    with pytest.raises(InputError, match="no images"):
        det_metrics(found_in([]), records_of([]), "voc12")


@given(judged_sets())
@settings(max_examples=40, deadline=None)
def test_ilsvrc_agrees_with_a_transcription_of_the_kit(drawn):
    truth, found = drawn
    if not any(truth):
        return
    blacklist = {(0, ANT), (2, BEE)}
    left_out = np.array(sorted(blacklist))
    for pairs, rows in (((), None), (blacklist, left_out)):
        expected = ilsvrc(truth, found, len(NAMES), pairs)
        if not np.isnan(expected).all():
            metrics = det_metrics(found_in(found), records_of(truth), "ilsvrc", left_out=rows)
            check(metrics, expected)


@given(judged_sets())
@settings(max_examples=40, deadline=None)
def test_voc_agrees_with_a_transcription_of_the_published_loops(drawn):
    truth, found = drawn
    for metric in ("voc07", "voc12"):
        expected = voc(truth, found, len(NAMES), metric == "voc07")
        if not np.isnan(expected).all():
            check(det_metrics(found_in(found), records_of(truth), metric), expected)


def check(metrics, expected):
    ours = [np.nan if ap is None else ap for ap in metrics["per_class"].values()]
    np.testing.assert_allclose(ours, 100 * np.array(expected), rtol=1e-9, atol=1e-9)
    assert metrics["mAP"] == pytest.approx(100 * np.nanmean(expected))
    assert metrics["median_AP"] == pytest.approx(100 * np.nanmedian(expected))
    assert metrics["mAP_all_classes"] == pytest.approx(100 * np.nansum(expected) / len(NAMES))


@pytest.mark.parametrize("metric", (*RULES, "coco"))
def test_ground_truth_as_predictions_scores_100(metric):
    rng = np.random.default_rng(0)
    images = []
    for i in range(40):
        corners = rng.permutation(40)[: i % 6] * 12  # apart, so that no two boxes of an image are alike
        boxes = [(int(c), int(c) // 2, int(c) + int(rng.integers(3, 90)), int(c) // 2 + 60) for c in corners]
        images.append([(int(rng.integers(2)), box, bool(rng.random() < 0.1)) for box in boxes])
    records = records_of(images)
    found = truth_as_found(records, keep_ignored=metric == "ilsvrc")
    metrics = det_metrics(found, records, metric)
    assert metrics["mAP"] == pytest.approx(100)
    assert metrics["median_AP"] == pytest.approx(100)
    assert metrics["per_class"] == {"ant": pytest.approx(100), "bee": pytest.approx(100), "cat": None}
    assert metrics["mAP_all_classes"] == pytest.approx(200 / 3)


@pytest.mark.parametrize(
    ("spec", "metric"),
    [
        ("ilsvrc-det:/data/ILSVRC:val", "ilsvrc"),
        ("coco:/data/val2017:/data/instances.json", "coco"),
        ("coco:/data/VOC2007:/data/instances.json", "coco"),
        ("voc:/data/VOCdevkit/VOC2007:test", "voc07"),
        ("voc:/data/VOCdevkit/VOC2007/:test", "voc07"),
        ("voc:C:\\data\\VOC2007:test", "voc07"),
        ("voc:/data/VOCdevkit/VOC2012:val", "voc12"),
        ("voc:/data/bccd:test", "voc12"),
        ("shapes:/data/demo:val", "voc12"),
        ("ilsvrc-det:/a:val1 + ilsvrc-det:/b:val2", "ilsvrc"),
        ("voc:/data/VOC2007:test + voc:/data/VOC2012:val", "voc12"),
    ],
)
def test_a_sets_own_metric_is_told_by_its_name(spec, metric):
    assert default_metric(spec) == metric


def test_voc2007_has_its_metric_from_above_from_within_and_through_a_link(tmp_path, monkeypatch):
    data = tmp_path / "data"
    kit = data / "VOCdevkit" / "VOC2007"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (kit / name).mkdir(parents=True)
    (tmp_path / "voc").symlink_to(kit)
    for root in (data, data / "VOCdevkit", tmp_path / "voc"):
        assert default_metric(f"voc:{root}:test") == "voc07"
    monkeypatch.chdir(kit)
    assert default_metric("voc:.:test") == "voc07"
