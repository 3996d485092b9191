import pytest
import torch
from torchvision.models.detection._utils import Matcher

from resdet.targets.matching import match

BOTH = {"positive": 0.7, "negative": 0.3}


def one_image(rows, present=None):
    iou = torch.tensor(rows, dtype=torch.float32)[None]  # (1, P, G)
    present = torch.ones(1, iou.shape[2], dtype=torch.bool) if present is None else torch.tensor([present])
    index, label, overlap = match(iou, present, **BOTH)
    assert (index.dtype, label.dtype) == (torch.int64, torch.int64)
    return index[0].tolist(), label[0].tolist(), overlap[0]


def test_example_of_the_docstring():
    assert one_image([[0.9], [0.5], [0.1]])[1] == [1, -1, 0]
    assert one_image([[0.5], [0.4], [0.1]])[1] == [1, -1, 0]


def test_thresholds_belong_to_object_above_and_to_ignored_below():
    _, label, _ = one_image([[0.95], [0.7], [0.3]])
    assert label == [1, 1, -1]  # 0.7 is an object; 0.3 is not less than 0.3


def test_ties_for_the_best_anchor_all_count():
    assert one_image([[0.4], [0.1], [0.4]])[1] == [1, 0, 1]


def test_object_wins_over_background_when_the_best_anchor_overlaps_little():
    _, label, overlap = one_image([[0.05], [0.0], [0.02]])
    assert label == [1, 0, 0]
    torch.testing.assert_close(overlap, torch.tensor([0.05, 0.0, 0.02]))


def test_box_that_no_anchor_touches_makes_no_object():
    assert one_image([[0.8, 0.0], [0.1, 0.0]])[1] == [1, 0]


def test_each_anchor_gets_the_box_it_overlaps_most():
    index, label, overlap = one_image([[0.8, 0.1], [0.2, 0.6], [0.75, 0.72]])
    assert index == [0, 1, 0]
    assert label == [1, -1, 1]  # the second is not the best of its box: the third overlaps that more
    torch.testing.assert_close(overlap, torch.tensor([0.8, 0.6, 0.75]))


def test_padding_never_matches():
    index, label, overlap = one_image([[0.2, 0.9], [0.1, 1.0]], present=[True, False])
    assert (index, label) == ([0, 0], [1, 0])
    torch.testing.assert_close(overlap, torch.tensor([0.2, 0.1]))


def test_image_without_boxes_is_all_background_beside_one_with():
    iou = torch.tensor([[[0.9], [0.4]], [[0.9], [0.4]]])
    _, label, overlap = match(iou, torch.tensor([[True], [False]]), **BOTH)
    assert label.tolist() == [[1, -1], [0, 0]]
    assert overlap[1].tolist() == [0, 0]


def test_batch_without_any_box_is_all_background():
    index, label, overlap = match(torch.zeros(2, 5, 0), torch.zeros(2, 0, dtype=torch.bool), **BOTH)
    for part in (index, label, overlap):
        assert part.shape == (2, 5)
        assert not part.any()


@pytest.mark.parametrize("seed", range(20))
def test_equals_torchvisions_matcher_with_low_quality_matches(seed):
    iou = torch.rand(12, 3, generator=torch.Generator().manual_seed(seed)).round(decimals=1)  # many ties
    iou[:, iou.amax(0) == 0] = 0.1  # theirs would make every anchor an object of a box that none touches
    theirs = Matcher(0.7, 0.3, allow_low_quality_matches=True)(iou.T)
    index, label, _ = one_image(iou.tolist())
    expected = [1 if m >= 0 else {-1: 0, -2: -1}[m] for m in theirs.tolist()]
    assert label == expected
    for mine, his, row in zip(index, theirs.tolist(), iou, strict=True):
        assert his < 0 or row[mine] == row[his]
