"""Threshold, suppression and the best few, against cases worked by hand and the loop over images and classes."""

import pytest
import torch

from resdet.postprocess.detections import all_finite, best_detections


def region(probabilities, *boxes):
    """One image of one region: a probability and a box for each class."""
    return torch.tensor([probabilities]), torch.tensor([boxes], dtype=torch.float32)


def image(*regions):
    return tuple(torch.cat(column) for column in zip(*regions, strict=True))


A, NEAR_A, FAR = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 9.0), (40.0, 40.0, 50.0, 60.0)


def test_a_class_above_the_threshold_is_found_where_its_own_box_is():
    found = best_detections([region([0.6, 0.3, 0.1], A, FAR)])[0]
    assert found.labels.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.6, 0.3])
    assert found.boxes.tolist() == [list(A), list(FAR)]


def test_background_is_never_found_and_the_threshold_itself_is_too_low():
    assert len(best_detections([region([0.05, 0.05, 0.9], A, FAR)], score_threshold=0.05)[0]) == 0
    assert best_detections([region([0.04, 0.06, 0.9], A, FAR)])[0].labels.tolist() == [1]


def test_suppression_is_within_a_class_and_within_an_image():
    best, second = region([0.9, 0.0, 0.1], A, A), region([0.8, 0.0, 0.2], NEAR_A, A)
    other_class = region([0.0, 0.7, 0.3], A, NEAR_A)
    found = best_detections([image(best, second, other_class), second])
    assert [d.labels.tolist() for d in found] == [[0, 1], [0]]
    assert [d.scores.tolist() for d in found] == [pytest.approx([0.9, 0.7]), pytest.approx([0.8])]


def test_overlap_at_the_limit_stays():
    at_limit = region([0.8, 0.2], (0.0, 0.0, 10.0, 5.0))  # IoU 0.5, a number that floats hold
    found = best_detections([image(region([0.9, 0.1], A), at_limit)], nms_iou=0.5)[0]
    assert len(found) == 2


def test_the_best_few_are_counted_over_all_classes_of_each_image_alone():
    many = image(*(region([0.5 + i / 100, 0.4 - i / 100, 0.1], FAR, (20.0 * i, 0, 20 * i + 9, 9)) for i in range(5)))
    found = best_detections([many, many], most=3)
    for of_image in found:
        assert of_image.labels.tolist() == [0, 1, 1]
        assert of_image.scores.tolist() == pytest.approx([0.54, 0.4, 0.39])


def test_what_was_suppressed_votes_when_asked():
    regions = [image(region([0.6, 0.4], A), region([0.3, 0.7], (0.0, 0.0, 10.0, 7.0)))]
    kept = best_detections(regions)[0]
    voted = best_detections(regions, vote_iou=0.5)[0]
    assert kept.boxes.tolist() == [[0, 0, 10, 10]]
    torch.testing.assert_close(voted.boxes, torch.tensor([[0.0, 0.0, 10.0, (0.6 * 10 + 0.3 * 7) / 0.9]]))
    assert torch.equal(voted.scores, kept.scores)


@pytest.mark.parametrize("bad", [(5.0, 5, 5, 9), (9.0, 9, 5, 5), (float("nan"), 0, 9, 9), (0.0, 0, float("inf"), 9)])
def test_a_box_without_area_is_no_detection(bad):
    found = best_detections([image(region([0.9, 0.1], bad), region([0.5, 0.5], A))])[0]
    assert found.boxes.tolist() == [list(A)]


def test_a_probability_that_is_not_a_number_is_no_detection():
    found = best_detections([image(region([float("nan"), 0.1], FAR), region([0.5, 0.5], A))])[0]
    assert found.boxes.tolist() == [list(A)]


@pytest.mark.parametrize("vote_iou", [None, 0.5])
def test_nothing_found_is_no_boxes_of_four_numbers(vote_iou):
    nothing = torch.zeros(0, 3), torch.zeros(0, 2, 4)
    low = region([0.0, 0.0, 1.0], A, A)
    found = best_detections([nothing, low, region([0.9, 0.0, 0.1], A, A), nothing], vote_iou=vote_iou)
    assert [len(d) for d in found] == [0, 0, 1, 0]
    for of_image in found:
        assert of_image.boxes.shape[1:] == (4,)
        assert (of_image.boxes.dtype, of_image.labels.dtype) == (torch.float32, torch.int64)
    assert best_detections([], vote_iou=vote_iou) == []
    assert len(best_detections([nothing], vote_iou=vote_iou)[0]) == 0


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_comes_out_in_single(kind):
    probabilities, boxes = region([0.75, 0.25], A)
    found = best_detections([(probabilities.to(kind), boxes.to(kind))])[0]
    assert (found.boxes.dtype, found.scores.dtype) == (torch.float32, torch.float32)
    assert found.scores.tolist() == [0.75]


def random_regions(seed, classes):
    torch.manual_seed(seed)
    found = []
    for count in (40, 0, 70):
        boxes = torch.rand(count, classes, 4) * 40
        boxes[..., 2:] += boxes[..., :2] + 15
        found.append(((torch.randn(count, classes + 1) * 2).softmax(1), boxes))
    return found


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def one_image(probabilities, boxes, most):
    """The obvious way: class by class, box by box."""
    kept = []
    for c in range(boxes.shape[1]):
        rows = [(s, b) for s, b in zip(probabilities[:, c].tolist(), boxes[:, c].tolist(), strict=True) if s > 0.05]
        chosen = []
        for score, box in sorted(rows, key=lambda row: -row[0]):
            if all(iou(box, other) <= 0.3 for _, other in chosen):
                chosen.append((score, box))
        kept += [(score, c, box) for score, box in chosen]
    return sorted(kept, key=lambda row: -row[0])[:most]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("most", [100, 7])
def test_a_batch_is_what_the_loop_over_images_and_classes_finds(seed, most):
    regions = random_regions(seed, classes=5)
    for (probabilities, boxes), found in zip(regions, best_detections(regions, most=most), strict=True):
        expected = one_image(probabilities, boxes, most)
        assert found.labels.tolist() == [label for _, label, _ in expected]
        assert found.scores.tolist() == pytest.approx([score for score, _, _ in expected])
        assert found.boxes.flatten().tolist() == pytest.approx([edge for _, _, box in expected for edge in box])


@pytest.mark.gpu
@pytest.mark.parametrize("vote_iou", [None, 0.5])
def test_a_gpu_finds_what_a_cpu_finds(vote_iou):
    regions = random_regions(0, classes=5)
    on_gpu = [(probabilities.cuda(), boxes.cuda()) for probabilities, boxes in regions]
    found = best_detections(on_gpu, vote_iou=vote_iou)
    for one, other in zip(found, best_detections(regions, vote_iou=vote_iou), strict=True):
        assert one.labels.tolist() == other.labels.tolist()
        torch.testing.assert_close(one.scores.cpu(), other.scores)
        torch.testing.assert_close(one.boxes.cpu(), other.boxes, rtol=1e-4, atol=1e-3)


def test_what_was_left_out_as_no_number_is_told_of_its_image():
    nan, inf = float("nan"), float("inf")
    sound = image(region([0.5, 0.5], A), region([0.0, 1.0], A))
    each = [
        sound,
        image(region([nan, nan], A), region([0.5, 0.5], A)),
        (torch.zeros(0, 2), torch.zeros(0, 1, 4)),
        image(region([0.5, 0.5], A), region([0.5, 0.5], (0.0, 0, inf, 9))),
        image(region([0.5, nan], A)),  # of background alone
        sound,
    ]
    assert all_finite(each).tolist() == [True, False, True, False, False, True]
    assert all_finite(each[2:3]).tolist() == [True]
