"""The localization rule: cases worked by hand, and a slow transcription of eval_clsloc.m as an oracle."""

from pathlib import Path

import numpy as np
import pytest

from resdet.data.records import Classes, Record, pack
from resdet.errors import InputError
from resdet.eval.loc import loc_metrics, loc_outcomes
from resdet.eval.loc_table import loc_table
from resdet.predictions.loc import LocPredictions

WHOLE = (0, 0, 9, 9)  # 100 pixels
HALF = (0, 0, 9, 4)  # 50 of them: an IoU of exactly 0.5
FAR = (50, 50, 59, 59)


def records_of(images, classes=4):
    """Records from ``(label, boxes)`` with boxes in inclusive pixels, or ``(label, boxes, labels of the boxes)``."""
    names = tuple(f"n{i}" for i in range(classes))
    rows = []
    for i, (label, boxes, *box_labels) in enumerate(images):
        edges = [(x1, y1, x2 + 1, y2 + 1) for x1, y1, x2, y2 in boxes]
        rows.append(Record(f"val/{i:05d}.JPEG", label, edges, *box_labels))
    return pack(Path("set"), Classes(names, names), rows)


def guesses(images, width=5):
    """Predictions from a list of ``(label, box)`` an image."""
    labels, boxes = np.full((len(images), width), -1), np.zeros((len(images), width, 4))
    for i, row in enumerate(images):
        for j, (label, box) in enumerate(row):
            labels[i, j], boxes[i, j] = label, box
    return LocPredictions(labels, boxes)


def metrics_of(images, predicted, blacklist=None, width=5):
    records = records_of(images)
    left_out = np.zeros(len(records), dtype=bool) if blacklist is None else np.array(blacklist)
    return loc_metrics(loc_outcomes(guesses(predicted, width), records), left_out)


@pytest.mark.parametrize(
    ("boxes", "guess", "error"),
    [
        ([WHOLE], [(1, WHOLE)], 0),
        ([WHOLE], [(1, HALF)], 0),  # an IoU of exactly 0.5 is a hit
        ([WHOLE], [(1, (0, 0, 8, 4))], 100),  # 45 of 100 is not
        ([FAR, WHOLE], [(1, WHOLE)], 0),  # any one of several boxes will do
        ([WHOLE], [(2, WHOLE)], 100),  # the right box with the wrong class
        ([WHOLE], [(2, WHOLE), (1, FAR)], 100),  # the class from one guess, the box from another
        ([WHOLE], [(2, FAR), (3, FAR), (1, WHOLE)], 0),  # fewer than five guesses, the third is right
        ([WHOLE], [(1, FAR), (1, WHOLE)], 0),  # the class twice
        ([WHOLE], [], 100),
        ([WHOLE], [(1, (9, 9, 0, 0))], 100),  # upside down
        ([], [(1, WHOLE)], 100),  # nothing to hit
    ],
)
def test_error_of_one_image(boxes, guess, error):
    second = (1, [FAR])  # another image, so that the set has a box at all; it is always right
    metrics = metrics_of([(1, boxes), second], [guess, [(1, FAR)]])
    assert metrics["loc_top5_error"] == error / 2


def test_a_missing_guess_never_hits_even_where_its_empty_box_would():
    assert metrics_of([(0, [(0, 0, 0, 0)])], [[]])["errors"]["both_wrong"] == 100


def test_guesses_beyond_the_fifth_are_cut():
    six = [(0, FAR)] * 5 + [(1, WHOLE)]
    assert metrics_of([(1, [WHOLE])], [six], width=6)["loc_top5_error"] == 100
    assert metrics_of([(1, [WHOLE])], [six[1:]])["loc_top5_error"] == 0


def test_one_guess_an_image_gives_the_same_error_for_every_k():
    metrics = metrics_of([(1, [WHOLE]), (1, [WHOLE])], [[(1, WHOLE)], [(2, WHOLE)]], width=1)
    assert [e["loc_error"] for e in metrics["top_k"].values()] == [50.0] * 5


def test_boxes_of_another_class_in_the_image_do_not_count():
    assert metrics_of([(1, [WHOLE, FAR], [2, 1])], [[(1, WHOLE)]])["loc_top5_error"] == 100


def test_the_blacklist_holds_for_localization_and_not_for_classes():
    images, predicted = [(1, [WHOLE]), (1, [WHOLE]), (1, [])], [[(1, WHOLE)], [(1, FAR)], [(2, FAR)]]
    metrics = metrics_of(images, predicted, blacklist=[False, False, True])
    assert (metrics["images"], metrics["blacklisted"]) == (3, 1)
    assert metrics["loc_top5_error"] == 50  # of the two that count
    assert metrics["cls_top5_error"] == pytest.approx(100 / 3)  # of all three
    assert metrics["all_images"]["loc_top5_error"] == pytest.approx(200 / 3)
    assert metrics["all_images"]["gt_class_loc_error"] is None  # the third's box for its class is not known
    assert "with the blacklisted images too: top-1 66.67, top-5 66.67\n" in loc_table(metrics)
    assert "all_images" not in metrics_of(images, predicted)
    predicted[2] = [(1, WHOLE)]  # its class, but it has nothing to hit
    known = metrics_of(images, predicted, blacklist=[False, True, True])
    assert (known["gt_class_loc_error"], known["loc_top1_error"]) == (0, 0)
    assert known["all_images"]["gt_class_loc_error"] == pytest.approx(200 / 3)
    assert known["all_images"]["loc_top1_error"] == pytest.approx(200 / 3)


def test_ground_truth_as_predictions_scores_zero():
    images = [(i % 4, [FAR, WHOLE][: 1 + i % 2]) for i in range(20)]
    metrics = metrics_of(images, [[(label, box) for box in boxes] for label, boxes in images])
    assert all(errors == {"cls_error": 0, "loc_error": 0} for errors in metrics["top_k"].values())
    assert metrics["gt_class_loc_error"] == 0
    assert metrics["errors"] == {"correct": 100, "class_wrong": 0, "box_wrong": 0, "both_wrong": 0}


def test_what_went_wrong_is_shared_out_and_sums_to_all():
    images = [(1, [WHOLE])] * 5
    predicted = [
        [(1, WHOLE)],
        [(1, FAR)],  # the class, no box
        [(1, FAR), (2, WHOLE)],  # the class was found, its box is what is wrong
        [(2, WHOLE), (3, FAR)],  # a box, but not the class
        [(2, FAR)],
    ]
    errors = metrics_of(images, predicted)["errors"]
    assert errors == {"correct": 20, "class_wrong": 20, "box_wrong": 40, "both_wrong": 20}


def test_true_class_error_comes_from_the_boxes_that_were_predicted_for_it():
    records = records_of([(1, [WHOLE]), (1, [WHOLE]), (1, [WHOLE])])
    named = guesses([[(1, WHOLE)], [(2, FAR)], [(2, FAR)]])
    given = np.array([WHOLE, HALF, FAR], dtype=float)
    outcomes = loc_outcomes(LocPredictions(named.labels, named.boxes, given), records)
    metrics = loc_metrics(outcomes, np.zeros(3, dtype=bool))
    assert metrics["gt_class_loc_error"] == pytest.approx(100 / 3)
    assert metrics["gt_class_loc_error_class_found"] == 0
    assert metrics["gt_class_loc_error_class_missed"] == 50
    low, high = metrics["ci95"]["gt_class_loc_error"]
    assert low <= 100 / 3 <= high


def test_true_class_error_is_unknown_where_one_images_class_was_not_guessed():
    images, predicted = [(1, [WHOLE]), (1, [WHOLE])], [[(1, FAR)], [(2, WHOLE)]]
    metrics = metrics_of(images, predicted)
    assert metrics["gt_class_loc_error"] is None
    assert metrics["ci95"]["gt_class_loc_error"] is None
    assert metrics["gt_class_loc_error_class_found"] == 100
    assert metrics["gt_class_loc_error_class_missed"] is None
    # the image that leaves it unknown does not count
    assert metrics_of(images, predicted, blacklist=[False, True])["gt_class_loc_error"] == 100


def test_a_class_counts_as_found_from_the_first_guess_to_the_fifth():
    predicted = [[*[(2, FAR)] * place, (1, box)] for place, box in enumerate((WHOLE, FAR, FAR, WHOLE, FAR))]
    metrics = metrics_of([(1, [WHOLE])] * 5, predicted)
    assert metrics["gt_class_loc_error_class_found"] == 60
    assert metrics["gt_class_loc_error_class_missed"] is None


def test_true_class_error_of_a_file_is_that_of_the_first_guess_of_the_class():
    assert metrics_of([(1, [WHOLE])], [[(2, FAR), (1, FAR), (1, WHOLE)]])["gt_class_loc_error"] == 100


def overlap_by_the_kit(bb, bbgt):
    """compute_overlap.m."""
    bi = [max(bb[0], bbgt[0]), max(bb[1], bbgt[1]), min(bb[2], bbgt[2]), min(bb[3], bbgt[3])]
    iw = bi[2] - bi[0] + 1
    ih = bi[3] - bi[1] + 1
    ov = -1
    if iw > 0 and ih > 0:
        ua = (bb[2] - bb[0] + 1) * (bb[3] - bb[1] + 1) + (bbgt[2] - bbgt[0] + 1) * (bbgt[3] - bbgt[1] + 1) - iw * ih
        ov = iw * ih / ua
    return ov


def errors_by_the_kit(images, predicted, blacklist, k):
    """eval_clsloc.m's double loop: the class error and the localization error of ``k`` guesses."""
    loc_sum = cls_sum = 0
    for i, (label, boxes) in enumerate(images):
        d, e = [], []
        for j in range(k):
            guess, box = predicted[i][j] if j < len(predicted[i]) else (-1, (0, 0, 0, 0))
            d.append(0 if guess == label else 1)
            f = min([1 if overlap_by_the_kit(box, truth) < 0.50 else 0 for truth in boxes], default=1)
            e.append(max(d[j], f))
        cls_sum += min(d)
        loc_sum += 0 if blacklist[i] else min(e)
    return cls_sum / len(images), loc_sum / (len(images) - sum(blacklist))


@pytest.mark.parametrize("seed", range(4))
def test_every_error_agrees_with_a_transcription_of_the_kit(seed):
    rng = np.random.default_rng(seed)

    def box():
        x1, y1, w, h = rng.integers(0, 6, 4).tolist()
        return (x1, y1, x1 + w, y1 + h)

    images = [(int(rng.integers(4)), [box() for _ in range(rng.integers(0, 4))]) for _ in range(300)]
    predicted = [[(int(rng.integers(4)), box()) for _ in range(rng.integers(0, 8))] for _ in images]
    blacklist = (rng.random(len(images)) < 0.1).tolist()
    metrics = metrics_of(images, predicted, blacklist, width=8)
    for k in range(1, 6):
        cls_error, loc_error = errors_by_the_kit(images, predicted, blacklist, k)
        ours = metrics["top_k"][str(k)]
        assert ours["cls_error"] == pytest.approx(100 * cls_error)
        assert ours["loc_error"] == pytest.approx(100 * loc_error)
    assert metrics["loc_top1_error"] == metrics["top_k"]["1"]["loc_error"]
    assert metrics["cls_top5_error"] == metrics["top_k"]["5"]["cls_error"]
    assert sum(metrics["errors"].values()) == pytest.approx(100)
    assert metrics["errors"]["correct"] == pytest.approx(100 - metrics["loc_top5_error"])


def test_intervals_have_the_keys_of_the_errors_and_hold_them():
    images = [(i % 4, [WHOLE]) for i in range(200)]
    metrics = metrics_of(images, [[(i % 3, WHOLE), (0, FAR)] for i in range(200)])
    ends = metrics["ci95"]
    for key in ("cls_top1_error", "cls_top5_error", "loc_top1_error", "loc_top5_error"):
        assert ends[key][0] < metrics[key] < ends[key][1]
    assert ends["top_k"].keys() == metrics["top_k"].keys()
    assert ends["top_k"]["5"]["loc_error"] == ends["loc_top5_error"]


def test_what_cannot_be_evaluated_is_refused():
    one = guesses([[(1, WHOLE)]])
    with pytest.raises(InputError, match="2 images, but predictions for 1"):
        loc_outcomes(one, records_of([(1, [WHOLE])] * 2))
    with pytest.raises(InputError, match=r"00000\.JPEG: its class is not known"):
        loc_outcomes(one, records_of([(-1, [WHOLE])]))
    with pytest.raises(InputError, match="not one of the 1 images has a box"):
        loc_outcomes(one, records_of([(1, [])]))
    with pytest.raises(InputError, match="all 1 images are blacklisted"):
        metrics_of([(1, [WHOLE])], [[(1, WHOLE)]], blacklist=[True])
