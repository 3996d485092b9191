"""COCO's numbers: pycocotools driven by json files as the oracle for what is built from records."""

import contextlib
import importlib.util
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from judged_sets import NAMES, found_in, judged_sets, records_of
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from resdet.data.formats import open_records
from resdet.errors import UsageError
from resdet.eval.average_precision import averages
from resdet.eval.det import det_metrics
from resdet.eval.det_rules import judge
from resdet.predictions.read import read_det

TWELVE = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
WHOLE, FAR = (0, 0, 99, 99), (300, 300, 399, 399)


def xywh(box):
    x1, y1, x2, y2 = box
    return [x1, y1, x2 + 1 - x1, y2 + 1 - y1]


def by_files(folder, truth, found, areas=None):
    """The twelve numbers of pycocotools from an annotation file and a results file, and each class's AP."""
    annotations = []
    for i, objects in enumerate(truth):
        for j, (label, box, *crowd) in enumerate(objects):
            x, y, w, h = xywh(box)
            area = w * h if areas is None else areas[i][j]
            row = {"id": len(annotations) + 1, "image_id": i + 1, "category_id": label + 1, "bbox": [x, y, w, h]}
            annotations.append(row | {"area": area, "iscrowd": int(bool(crowd and crowd[0]))})
    content = {
        "images": [{"id": i + 1} for i in range(len(truth))],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(NAMES)],
        "annotations": annotations,
    }
    results = [
        {"image_id": i + 1, "category_id": label + 1, "bbox": xywh(box), "score": score}
        for i, rows in enumerate(found)
        for label, score, box in rows
    ]
    (folder / "truth.json").write_text(json.dumps(content))
    (folder / "found.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO(str(folder / "truth.json"))
        evaluation = COCOeval(ground, ground.loadRes(str(folder / "found.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"]
    return evaluation.stats, [precision[:, :, k, 0, 2] for k in range(len(NAMES))], precision[0, :, :, 0, 2]


def of_known(values):
    known = values[values > -1]
    return float(known.mean()) if len(known) else np.nan


def check(folder, truth, found, areas=None, backend="pycocotools"):
    stats, per_class, _ = by_files(folder, truth, found, areas)
    metrics = det_metrics(found_in(found), records_of(truth, areas=areas), "coco", backend=backend)
    ours = [-1 if metrics[name] is None else metrics[name] / 100 for name in TWELVE]
    np.testing.assert_allclose(ours, stats, atol=1e-12)
    aps = [np.nan if ap is None else ap / 100 for ap in metrics["per_class"].values()]
    np.testing.assert_allclose(aps, [of_known(values) for values in per_class], atol=1e-12)
    assert metrics["mAP"] == pytest.approx(metrics["AP"])


def random_set(seed, images=60):
    rng = np.random.default_rng(seed)
    truth, found, areas = [], [], []
    for _ in range(images):
        objects = []
        for _ in range(rng.integers(0, 6)):
            x, y = rng.integers(0, 300, 2).tolist()
            w, h = rng.integers(4, 190, 2).tolist()
            objects.append((int(rng.integers(3)), (x, y, x + w, y + h), bool(rng.random() < 0.1)))
        truth.append(objects)
        areas.append([float(rng.integers(10, 12_000)) for _ in objects])
        rows = []
        for label, box, _ in objects * 3:
            jitter = rng.integers(-9, 10, 4)
            moved = tuple(int(v) for v in np.array(box) + jitter)
            if moved[2] >= moved[0] and moved[3] >= moved[1]:
                rows.append(
                    (label if rng.random() < 0.8 else int(rng.integers(3)), round(float(rng.random()), 2), moved)
                )
        found.append(rows)
    return truth, found, areas


@pytest.mark.parametrize("with_areas", [False, True])
def test_the_twelve_numbers_are_pycocotools_own(tmp_path, with_areas, capsys):
    truth, found, areas = random_set(0)
    check(tmp_path, truth, found, areas if with_areas else None)
    assert capsys.readouterr().out == ""  # it keeps quiet


def test_boxes_of_tenths_and_hundredths_are_as_large_as_their_files_say(tmp_path):
    """Where a side came out a hair too short, half a box was no half, and 32 x 32 pixels were not of medium size."""
    true, half = [168.9, 151.6, 43.6, 30.7], [168.9, 151.6, 21.8, 30.7]
    rows = [{"id": 5, "image_id": 3, "category_id": 1, "bbox": true, "area": 2000, "iscrowd": 0}]
    images, kinds = [{"id": 3, "file_name": "3.jpg"}], [{"id": 1, "name": "ant"}]
    truth, found = tmp_path / "truth.json", tmp_path / "found.json"
    truth.write_text(json.dumps({"images": images, "categories": kinds, "annotations": rows}))
    boxes = ([25.8, 137.0, 32.0, 32.0], half)
    answers = [{"image_id": 3, "category_id": 1, "bbox": box, "score": 0.9 - i / 10} for i, box in enumerate(boxes)]
    found.write_text(json.dumps(answers))
    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO(str(truth))
        evaluation = COCOeval(ground, ground.loadRes(str(found)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    records = open_records(f"coco:{tmp_path}:{truth}")
    metrics = det_metrics(read_det(found, records), records, "coco")
    assert [-1 if metrics[name] is None else metrics[name] / 100 for name in TWELVE] == pytest.approx(evaluation.stats)
    assert metrics["AP50"] == pytest.approx(50)  # one right, behind one wrong
    judged = judge(read_det(found, records), records, "coco")
    assert 100 * averages(judged.curves(), judged.average)[0] == pytest.approx(50)


@given(judged_sets())
@settings(max_examples=25, deadline=None)
def test_average_precision_at_one_iou_is_pycocotools_own(tmp_path_factory, drawn):
    """The analysis of errors and the curves stand on our own matching at an IoU of 0.5."""
    truth, found = drawn
    if not any(not crowd for objects in truth for *_, crowd in objects) or not any(found):
        return
    *_, precision = by_files(tmp_path_factory.mktemp("coco"), truth, found)
    judged = judge(found_in(found), records_of(truth), "coco")
    expected = [of_known(precision[:, k]) for k in range(len(NAMES))]
    np.testing.assert_allclose(averages(judged.curves(), judged.average), expected, atol=1e-12)


def test_no_more_than_a_hundred_detections_of_a_class_in_an_image_are_looked_at(tmp_path):
    truth = [[(0, WHOLE), (0, FAR)]]
    found = [[*((0, 0.9, (200, 0, 209, 9)) for _ in range(99)), (0, 0.8, WHOLE), (0, 0.7, FAR), (1, 0.1, FAR)]]
    check(tmp_path, truth, found)
    judged = judge(found_in(found), records_of(truth), "coco")
    assert len(judged.found) == 101
    assert judged.right.sum() == 1


def test_of_boxes_that_a_detection_overlaps_equally_coco_takes_the_last_and_ilsvrc_the_first(tmp_path):
    left, middle, right = (0, 0, 99, 99), (20, 0, 119, 99), (40, 0, 139, 99)
    truth = [[(0, left), (0, right)]]
    for second, of_coco, of_ilsvrc in ((left, [True, True], [True, False]), (right, [True, False], [True, True])):
        found = [[(0, 0.9, middle), (0, 0.8, second)]]
        check(tmp_path, truth, found)
        assert judge(found_in(found), records_of(truth), "coco").right.tolist() == of_coco
        assert judge(found_in(found), records_of(truth), "ilsvrc").right.tolist() == of_ilsvrc


def test_the_hundred_that_are_looked_at_are_the_surest_of_each_class(tmp_path):
    truth = [[(0, WHOLE), (1, FAR)], [(1, WHOLE)]]
    nothing = [(label, 0.9 - i / 1000, (200, 0, 209, 9)) for i in range(120) for label in (0, 1)]
    nothing[2 * 99] = (0, 0.9 - 99 / 1000, WHOLE)  # the hundredth of its class; that of the other is the next one
    nothing[2 * 100 + 1] = (1, 0.9 - 100 / 1000, FAR)
    found = [nothing, nothing]
    check(tmp_path, truth, found)
    judged = judge(found_in(found), records_of(truth), "coco")
    assert (len(judged.found), judged.right.sum()) == (400, 1)


def test_a_perfect_and_a_half_perfect_set_worked_by_hand():
    truth = [[(0, WHOLE)], [(0, WHOLE), (1, FAR)]]
    metrics = det_metrics(found_in([[(0, 0.9, WHOLE)], [(1, 0.9, FAR)]]), records_of(truth), "coco")
    assert metrics["per_class"]["bee"] == pytest.approx(100)
    assert metrics["per_class"]["ant"] == pytest.approx(100 * 51 / 101)  # recalls 0, 0.01 .. 0.5 of the 101
    assert metrics["AR100"] == pytest.approx(75)
    assert metrics["APs"] is None  # there is no small object
    assert metrics["APl"] == pytest.approx(metrics["AP"])


def test_detections_inside_a_crowd_do_not_count():
    truth = [[(0, (0, 0, 299, 299), True), (0, FAR)]]
    found = [[(0, 0.9, (10, 10, 19, 19)), (0, 0.8, (50, 50, 69, 69)), (0, 0.7, FAR)]]
    assert det_metrics(found_in(found), records_of(truth), "coco")["AP"] == pytest.approx(100)


def test_a_hit_counts_though_it_lies_inside_a_crowd(tmp_path):
    truth = [[(0, FAR), (0, (0, 0, 499, 499), True)]]
    found = [[(0, 0.9, FAR)]]
    check(tmp_path, truth, found)
    judged = judge(found_in(found), records_of(truth), "coco")
    assert (judged.right.tolist(), judged.counted.tolist()) == ([True], [True])


def test_no_detections_at_all_score_0():
    metrics = det_metrics(found_in([[], []]), records_of([[(0, WHOLE)], []]), "coco")
    assert (metrics["AP"], metrics["AR100"], metrics["per_class"]["ant"]) == (0, 0, 0)


def test_an_unknown_or_missing_back_end_is_said():
    with pytest.raises(UsageError, match="'fast': wanted one of pycocotools, faster-coco-eval"):
        det_metrics(found_in([[]]), records_of([[(0, WHOLE)]]), "coco", backend="fast")
    if importlib.util.find_spec("faster_coco_eval") is None:
        with pytest.raises(UsageError, match="pip install faster-coco-eval"):
            det_metrics(found_in([[]]), records_of([[(0, WHOLE)]]), "coco", backend="faster-coco-eval")


@pytest.mark.parametrize("seed", range(3))
def test_the_fast_back_end_gives_the_same_numbers(tmp_path, seed):
    pytest.importorskip("faster_coco_eval")
    truth, found, areas = random_set(seed)
    check(tmp_path, truth, found, areas, backend="faster-coco-eval")
