"""The Triton kernels of NMS, held to the reference; interpreted where there is no GPU."""

import importlib
import warnings

import pytest
import torch

from resdet.ops import batched_nms
from resdet.ops.nms import reference

NAN, INF = float("nan"), float("inf")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="module")
def kernels():
    return importlib.import_module("resdet.ops.nms.triton")


def crowded(count: int, groups: int, seed: int, levels: int = 9) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    corner, sides = torch.rand(count, 2, generator=generator) * 60, torch.rand(count, 2, generator=generator) * 30 + 5
    scores = (torch.rand(count, generator=generator) * levels).floor() / levels
    return torch.cat((corner, corner + sides), 1), scores, torch.randint(0, groups, (count,), generator=generator)


def check(kernels, boxes, scores, groups, iou=0.3, most=None) -> None:
    expected = reference.batched_nms(boxes, scores, groups, iou, most)
    kept = kernels.batched_nms(boxes.to(DEVICE), scores.to(DEVICE), groups.to(DEVICE), iou, most)
    assert kept.tolist() == expected.tolist()


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65])
def test_a_tile_and_one_more_or_less(kernels, count):
    check(kernels, *crowded(count, 1, count))


def test_groups_that_begin_and_end_within_tiles(kernels):
    boxes, scores, _ = crowded(150, 1, 1)
    groups = torch.tensor([0] * 70 + [-9] * 3 + [2**40] * 77)
    check(kernels, boxes, scores, groups, most=None)
    check(kernels, boxes, scores, groups, most=4)


def test_tiles_for_which_there_is_no_word_are_found_when_needed(kernels, monkeypatch):
    boxes, scores, groups = crowded(200, 2, 2)
    for words in (200, 400):  # one tile and two of each box's group
        monkeypatch.setattr(kernels, "WORDS", words)
        check(kernels, boxes, scores, groups, 0.2)


def test_more_tiles_than_are_struck_out_at_a_time(kernels, monkeypatch):
    monkeypatch.setattr(kernels, "AHEAD", 2)
    check(kernels, *crowded(300, 1, 3), 0.15)


def test_boxes_that_cannot_be_used_and_boxes_without_area(kernels):
    boxes, scores, groups = crowded(70, 3, 4)
    scores[::9], scores[1::9], scores[2::9] = NAN, -INF, INF
    boxes[::11, 2], boxes[::13, 0], boxes[5::7, 2] = INF, NAN, boxes[5::7, 0]
    boxes[6::7] = boxes[6::7, [2, 3, 0, 1]]
    check(kernels, boxes, scores, groups)
    check(kernels, boxes, scores, groups, 0.0, most=2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_types(kernels, dtype):
    boxes, scores, groups = crowded(66, 2, 5)
    check(kernels, boxes.to(dtype), scores.to(dtype), groups)


def test_an_overlap_of_exactly_the_threshold_is_kept(kernels):
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 3, 10]])
    for of_a_type in (boxes, boxes.double()):
        check(kernels, of_a_type, torch.tensor([0.9, 0.8]), torch.zeros(2, dtype=torch.int64))


@pytest.mark.gpu
@pytest.mark.parametrize(("count", "groups", "most"), [(6000, 1, None), (12000, 4, 2000), (60000, 200, None)])
def test_large_sets_on_a_gpu_are_kept_as_on_the_cpu_with_one_wait(count, groups, most):
    generator = torch.Generator().manual_seed(0)
    corner, sides = torch.rand(count, 2, generator=generator) * 900, torch.rand(count, 2, generator=generator) * 200 + 5
    boxes, scores = torch.cat((corner, corner + sides), 1), torch.rand(count, generator=generator)
    group = torch.randint(0, groups, (count,), generator=generator)
    there = boxes.to(DEVICE), scores.to(DEVICE), group.to(DEVICE)
    kept = batched_nms(*there, 0.5, most)
    assert kept.tolist() == batched_nms(boxes, scores, group, 0.5, most).tolist()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        batched_nms(*there, 0.5, most)
        torch.cuda.set_sync_debug_mode("default")
    # (torch also warns once that it may overlook a wait)
    assert sum("called a synchronizing CUDA operation" in str(warning.message) for warning in caught) <= 1
