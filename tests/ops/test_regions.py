"""Regions in cells of the map, and the memory that operators answer in."""

import pytest
import torch
from regions_to_try import INF, NAN

from resdet.ops.regions import FARTHEST, accumulator, as_map, as_pooled, check, empty_pooled, in_cells, is_channels_last


def test_corners_are_divided_by_the_stride_and_images_counted():
    image, corners, usable = in_cells(torch.tensor([[1.0, 8, -16, 40, 64]]), 2, 16)
    assert (image.tolist(), image.dtype) == ([1], torch.int64)
    assert corners.tolist() == [[0.5, -1.0, 2.5, 4.0]]
    assert usable.tolist() == [True]


@pytest.mark.parametrize(
    "row",
    [(0, 1, 2, NAN, 4), (0, -INF, 2, 3, 4), (0, 1, 2, 3, FARTHEST), (0, -FARTHEST, 2, 3, 4), (2, 1, 2, 3, 4),
     (-1, 1, 2, 3, 4), (NAN, 1, 2, 3, 4)],
)  # fmt: skip
def test_a_region_that_cannot_be_read_is_of_image_0_and_zeros(row):
    image, corners, usable = in_cells(torch.tensor([row, (1, 1, 2, 3, 4)]), 2, 1)
    assert image.tolist() == [0, 1]
    assert corners.tolist() == [[0, 0, 0, 0], [1, 2, 3, 4]]
    assert usable.tolist() == [False, True]


def test_half_cells_are_told_apart_in_the_farthest_region_that_is_read():
    assert FARTHEST == 2**22  # float32 has 24 bits
    corners = in_cells(torch.tensor([[0, -(2**22) + 0.5, 1, 2**22 - 1.0, 2**22 - 0.5]]), 1, 1)[1]
    assert corners.tolist() == [[-(2**22) + 0.5, 1, 2**22 - 1, 2**22 - 0.5]]


@pytest.mark.parametrize(
    ("given", "held"),
    [(torch.float16, torch.float32), (torch.bfloat16, torch.float32), (torch.float32, torch.float32),
     (torch.float64, torch.float64)],
)  # fmt: skip
def test_corners_and_sums_are_in_float32_at_least(given, held):
    assert in_cells(torch.zeros(1, 5, dtype=given), 1, 16)[1].dtype == held
    assert accumulator(torch.zeros(1, dtype=given)) == held


def test_where_both_memory_formats_are_the_same_channels_do_not_lie_innermost():
    last = torch.zeros(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert is_channels_last(last)
    for features in (last.contiguous(), last[:, :1], torch.zeros(2, 3, 1, 1), last[..., ::2]):
        assert not is_channels_last(features)


def test_a_stride_of_one_pixel_or_less_is_a_stride_and_an_infinite_one_is_not():
    features, rois = torch.zeros(1, 1, 2, 2), torch.zeros(1, 5)
    for stride in (1, 0.5):
        check(features, rois, 1, stride)
    for stride in (-1, INF, NAN):
        with pytest.raises(ValueError, match="stride must be input pixels a cell, more than 0, got"):
            check(features, rois, 1, stride)


def test_regions_on_another_device_than_the_map_are_told():
    with pytest.raises(ValueError, match="features are on cpu, rois on meta"):
        check(torch.zeros(1, 1, 2, 2), torch.zeros(1, 5, device="meta"), 1, 16)


FORMATS = pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])


@FORMATS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cuts", [[5], [2, 3], [1, 1, 3]])
def test_bins_that_come_in_parts_are_put_together_in_order(cuts, dtype, memory):
    # number 10 r + 4 i + 2 j + c: region r, row i and column j of 2 x 2 bins, channel c of 2
    r, i, j, c = torch.meshgrid(*(torch.arange(n) for n in (5, 2, 2, 2)), indexing="ij")
    features = torch.zeros(1, 2, 3, 3, dtype=dtype).contiguous(memory_format=memory)
    parts = [part.flatten(0, 2).float() for part in (10 * r + 4 * i + 2 * j + c).split(cuts)]
    pooled = as_pooled(parts, features, 5, 2)
    assert [pooled[4, 1, 0, 1], pooled[2, 0, 1, 0], pooled[0, 1, 1, 1]] == [43, 24, 7]
    assert pooled.sum() == sum(part.sum() for part in parts)
    assert (pooled.shape, pooled.dtype) == ((5, 2, 2, 2), dtype)
    assert pooled.is_contiguous(memory_format=memory) and not pooled._is_view()
    assert empty_pooled(features, torch.zeros(5, 5), 2).stride() == pooled.stride()


@FORMATS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sum_is_given_back_in_the_type_and_memory_format_of_the_map(dtype, memory):
    total = torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
    found = as_map(total, dtype, memory == torch.channels_last)
    assert found.dtype == dtype and found.is_contiguous(memory_format=memory)
    assert found.flatten().tolist() == list(range(24))
