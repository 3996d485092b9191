"""The analysis of errors: one case for each kind, costs worked by hand, and a slow transcription as an oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from judged_sets import found_in, judged_sets, records_of

from resdet.eval.average_precision import averages, curves
from resdet.eval.det import det_metrics
from resdet.eval.det_errors import KINDS, error_costs, find_errors
from resdet.eval.det_rules import judge

WHOLE = (0, 0, 99, 99)  # 100 x 100 pixels
NEAR = (0, 0, 99, 29)  # 0.3 of it
EDGE = (0, 0, 99, 8)  # 0.09 of it: background
FAR = (300, 300, 399, 399)
ANT, BEE = 0, 1


def judged_of(truth, found, metric="voc12"):
    return judge(found_in(found), records_of(truth), metric)


def kinds_of(truth, found, metric="voc12"):
    """The kind of each detection, the surest first, None where it is right; and how many boxes are missed."""
    errors = find_errors(judged_of(truth, found, metric))
    return [None if k < 0 else KINDS[k] for k in errors.kind.tolist()], int(errors.missed.sum())


@pytest.mark.parametrize(
    ("found", "kinds", "missed"),
    [
        ([(ANT, 0.9, WHOLE)], [None], 0),
        ([(BEE, 0.9, WHOLE)], ["class"], 0),
        ([(ANT, 0.9, NEAR)], ["localization"], 0),
        ([(BEE, 0.9, NEAR)], ["both"], 1),
        ([(ANT, 0.9, WHOLE), (ANT, 0.8, WHOLE)], [None, "duplicate"], 0),
        ([(ANT, 0.9, FAR)], ["background"], 1),
        ([(ANT, 0.9, EDGE)], ["background"], 1),
        ([], [], 1),
        ([(ANT, 0.9, WHOLE), (BEE, 0.8, WHOLE)], [None, "class"], 0),
        ([(ANT, 0.9, WHOLE), (ANT, 0.8, NEAR)], [None, "localization"], 0),
    ],
)
@pytest.mark.parametrize("metric", ["ilsvrc", "voc12", "coco"])
def test_each_kind_of_error_around_one_true_box(metric, found, kinds, missed):
    assert kinds_of([[(ANT, WHOLE)]], [found], metric) == (kinds, missed)


def test_localization_comes_before_class_and_class_before_duplicate():
    truth = [[(ANT, WHOLE), (BEE, (0, 0, 99, 39))]]
    assert kinds_of(truth, [[(ANT, 0.9, (0, 0, 99, 39))]])[0] == ["localization"]  # 0.4 of the ant, all of the bee
    same = [[(ANT, WHOLE), (BEE, WHOLE)]]
    assert kinds_of(same, [[(ANT, 0.9, WHOLE), (ANT, 0.8, WHOLE)]])[0] == [None, "class"]


def test_what_ilsvrc_lets_pass_at_a_small_object_is_a_duplicate_there_and_mislocated_for_voc():
    truth, small, quarter = [[(ANT, (0, 0, 9, 9))]], (0, 0, 9, 9), (0, 0, 4, 4)
    found = [[(ANT, 0.9, small), (ANT, 0.8, quarter)]]
    assert kinds_of(truth, found, "ilsvrc")[0] == [None, "duplicate"]
    assert kinds_of(truth, found, "voc12")[0] == [None, "localization"]


def test_difficult_objects_are_no_errors():
    truth = [[(ANT, WHOLE, True), (ANT, FAR)]]
    assert kinds_of(truth, [[(ANT, 0.9, WHOLE)]]) == ([None], 1)
    assert kinds_of(truth, [[(ANT, 0.9, NEAR)]]) == (["background"], 1)


def test_costs_worked_by_hand():
    # ants: a hit, and a bee's box called an ant, which is surer; bees: the box that was called an ant, and one missed
    truth = [[(ANT, WHOLE)], [(BEE, WHOLE)], [(BEE, WHOLE)]]
    found = [[(ANT, 0.5, WHOLE), (ANT, 0.4, WHOLE)], [(ANT, 0.9, WHOLE)], []]
    costs = error_costs(judged_of(truth, found))
    assert costs["mAP"] == pytest.approx((50 + 0) / 2)
    assert costs["class"] == {"count": 1, "mAP_lost": pytest.approx((100 + 50) / 2 - 25)}
    assert costs["duplicate"] == {"count": 1, "mAP_lost": pytest.approx(0)}  # it comes after the last hit
    assert costs["missed"] == {"count": 1, "mAP_lost": pytest.approx(0)}  # one bee fewer, of which none is found
    assert {kind: costs[kind]["count"] for kind in ("localization", "both", "background")} == {
        "localization": 0,
        "both": 0,
        "background": 0,
    }


def test_the_surest_of_several_is_put_right_and_the_others_go():
    truth = [[(ANT, WHOLE)]]
    found = [[(ANT, 0.9, FAR), (ANT, 0.8, NEAR), (ANT, 0.7, NEAR)]]  # then: wrong, right: 1/2
    assert error_costs(judged_of(truth, found))["localization"] == {"count": 2, "mAP_lost": pytest.approx(50)}
    assert error_costs(judged_of(truth, found))["background"] == {"count": 1, "mAP_lost": pytest.approx(0)}
    hit = [[(ANT, 0.9, NEAR), (ANT, 0.8, WHOLE)]]  # the box is taken: the wrong one just goes
    assert error_costs(judged_of(truth, hit))["localization"] == {"count": 1, "mAP_lost": pytest.approx(50)}


def test_all_is_lost_to_misses_where_nothing_was_detected():
    costs = error_costs(judged_of([[(ANT, WHOLE)], [(BEE, FAR)]], [[], []]))
    assert costs["mAP"] == 0
    assert costs["missed"] == {"count": 2, "mAP_lost": 100}


def test_a_perfect_detector_loses_nothing():
    costs = error_costs(judged_of([[(ANT, WHOLE)], [(BEE, FAR)]], [[(ANT, 0.9, WHOLE)], [(BEE, 0.8, FAR)]]))
    assert costs == {"mAP": 100, **{kind: {"count": 0, "mAP_lost": 0} for kind in KINDS}}


def iou(a, b):
    w, h = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return max(w, 0) * max(h, 0) / (sum(area) - max(w, 0) * max(h, 0))


def kinds_by_loops(judged):
    """The definitions, one detection and one box at a time."""
    found, truth = judged.found, judged.truth
    kinds, covered = [], set()
    for n in range(len(found)):
        if judged.match[n] >= 0 or not judged.counted[n]:
            kinds.append(None)
            continue
        best = {True: (0.0, None), False: (0.0, None)}
        for m in np.flatnonzero(judged.asked & (truth.images == found.images[n])):
            is_same = bool(truth.labels[m] == found.labels[n])
            value = iou(found.boxes[n], truth.boxes[m])
            if value > best[is_same][0]:
                best[is_same] = (value, m)
        (same, same_box), (other, other_box) = best[True], best[False]
        if 0.1 <= same < 0.5:
            kinds.append("localization")
            covered.add(same_box)
        elif other >= 0.5:
            kinds.append("class")
            covered.add(other_box)
        elif same >= 0.5:
            kinds.append("duplicate")
        else:
            kinds.append("both" if max(same, other) >= 0.1 else "background")
    hit = set(judged.match.tolist())
    return kinds, [m for m in np.flatnonzero(judged.asked) if m not in hit | covered]


@given(judged_sets())
@settings(max_examples=60, deadline=None)
def test_kinds_and_costs_agree_with_the_definitions_one_detection_at_a_time(drawn):
    truth, found = drawn
    judged = judged_of(truth, found)
    if not judged.positives.any():
        return
    errors = find_errors(judged)
    kinds, missed = kinds_by_loops(judged)
    assert [None if k < 0 else KINDS[k] for k in errors.kind.tolist()] == kinds
    assert np.flatnonzero(errors.missed).tolist() == missed
    costs = error_costs(judged)
    assert costs["mAP"] == pytest.approx(det_metrics(found_in(found), records_of(truth), "voc12")["mAP"])
    for kind in ("duplicate", "background", "both"):
        stays = judged.counted & np.array([k != kind for k in kinds], dtype=bool)
        ap = averages(curves(judged.found.labels[stays], judged.right[stays], judged.positives), judged.average)
        assert costs[kind]["mAP_lost"] == pytest.approx(100 * np.nanmean(ap) - costs["mAP"])
    assert all(costs[kind]["mAP_lost"] > -1e-9 for kind in KINDS)
