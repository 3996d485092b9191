import pytest
import torch
import torchvision
from regions_to_try import (
    STRIDE,
    UNREADABLE,
    UPSIDE_DOWN,
    distinct_map,
    each_rois,
    gradient_of,
    random_rois,
    some_weights,
)

from resdet.ops import roi_pool
from resdet.ops.roi_pool import op, reference


def peer(features, rois, size):
    return torchvision.ops.roi_pool(features, rois.to(features.dtype), size, 1 / STRIDE)


def test_rounded_corners_and_shared_cells_worked_by_hand():
    rows = torch.arange(6.0)[:, None] * 10 + torch.arange(9.0)  # cell (y, x) holds 10 y + x
    # x 24 and 72 are cells 1.5 and 4.5, rounded to 2 and 5; y 30 and 56 are 1.875 and 3.5, rounded to 2 and 4:
    # 4 x 3 cells with the last ones.  Rows 2..4 in two bins: [2, 4) and [3, 5), row 3 in both
    pooled = roi_pool(rows[None, None], torch.tensor([[0.0, 24, 30, 72, 56]]), 2, 16)
    assert pooled[0, 0].tolist() == [[33.0, 35.0], [43.0, 45.0]]


@each_rois
def test_equals_torchvision_forward_and_gradient(rois):
    features = distinct_map()
    for size in (1, 2, 7):
        weight = some_weights((len(rois), 3, size, size))
        torch.testing.assert_close(roi_pool(features, rois, size, STRIDE), peer(features, rois, size), rtol=0, atol=0)
        torch.testing.assert_close(
            gradient_of(lambda f: roi_pool(f, rois, size, STRIDE), features, weight),  # noqa: B023
            gradient_of(lambda f: peer(f, rois, size), features, weight),  # noqa: B023
        )


def test_equals_torchvision_where_floats_stretch_the_bins_of_a_wide_map():
    # 57 and 62 cells in 14 bins: 57 / 14 * 14 is over 57 in float32, so that the last bin takes a cell more
    features = torch.randperm(2 * 70 * 70, generator=torch.Generator().manual_seed(0)).reshape(1, 2, 70, 70).float()
    rois = torch.tensor([[0.0, 0, 0, 56 * 16, 61 * 16], [0, 32, 16, 58 * 16, 57 * 16], [0, 0, 0, 69 * 16, 69 * 16]])
    torch.testing.assert_close(roi_pool(features, rois, 14, STRIDE), peer(features, rois, 14), rtol=0, atol=0)
    weight = some_weights((3, 2, 14, 14))
    torch.testing.assert_close(
        gradient_of(lambda f: roi_pool(f, rois, 14, STRIDE), features, weight),
        gradient_of(lambda f: peer(f, rois, 14), features, weight),
    )


@pytest.mark.parametrize("channels_last", [False, True])
def test_equals_the_reference_in_either_memory_format(channels_last):
    memory = torch.channels_last if channels_last else torch.contiguous_format
    features, rois = distinct_map(130).to(memory_format=memory), torch.cat((random_rois(12), UPSIDE_DOWN))
    weight = some_weights((14, 130, 3, 3))
    ours = roi_pool(features, rois, 3, STRIDE)
    torch.testing.assert_close(ours, reference.roi_pool(features, rois, 3, STRIDE), rtol=0, atol=0)
    assert ours.is_contiguous(memory_format=memory)
    gradient = gradient_of(lambda f: roi_pool(f, rois, 3, STRIDE), features, weight)
    expected = gradient_of(lambda f: reference.roi_pool(f, rois, 3, STRIDE), features, weight)
    torch.testing.assert_close(gradient, expected)
    assert gradient.is_contiguous(memory_format=memory)


def test_gradient_of_the_reference_and_ours_is_the_slope_in_float64():
    features, rois = distinct_map(1, torch.float64)[:, :, :4].requires_grad_(), random_rois(4).double()
    for pool in (reference.roi_pool, op.roi_pool):
        assert torch.autograd.gradcheck(lambda f: pool(f, rois, 2, 16.0), features)  # noqa: B023


@pytest.mark.parametrize("pool", [op.run, op.roi_pool], ids=["eager", "operator"])
def test_the_gradient_of_its_gradient_is_refused_and_not_left_out(pool):
    features, rois = distinct_map(1, torch.float64).requires_grad_(), random_rois(4).double()
    loss = pool(features, rois, 2, 16.0).square().sum() + features.square().sum()
    (gradient,) = torch.autograd.grad(loss, features, create_graph=True)
    with pytest.raises(NotImplementedError, match="the gradient of RoI pool has no gradient here"):
        gradient.sum().backward()


def test_of_equal_maxima_the_first_in_reading_order_takes_the_gradient():
    features = torch.zeros(1, 1, 6, 9)
    gradient = gradient_of(
        lambda f: roi_pool(f, torch.tensor([[0.0, 32, 16, 80, 48]]), 1, STRIDE), features, torch.ones(1)
    )
    assert gradient.nonzero().tolist() == [[0, 0, 1, 2]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("channels_last", [False, True])
def test_half_precision_picks_the_same_and_sums_gradients_in_float32(dtype, channels_last):
    memory = torch.channels_last if channels_last else torch.contiguous_format
    features, rois = distinct_map(2, dtype).to(memory_format=memory), random_rois(60)
    exact = roi_pool(features.float(), rois, 4, STRIDE)
    pooled = roi_pool(features, rois, 4, STRIDE)
    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled, exact.to(dtype), rtol=0, atol=0)
    weight = some_weights(pooled.shape, dtype)
    slope = gradient_of(lambda f: roi_pool(f, rois, 4, STRIDE), features, weight)
    exact_slope = gradient_of(lambda f: roi_pool(f, rois, 4, STRIDE), features.float(), weight.float())
    torch.testing.assert_close(slope, exact_slope.to(dtype), rtol=0, atol=0)


def test_two_backward_runs_give_equal_bits():
    features, rois = distinct_map(64), random_rois(200)
    weight = some_weights((200, 64, 7, 7))
    first, second = (gradient_of(lambda f: roi_pool(f, rois, 7, STRIDE), features, weight) for _ in range(2))
    assert torch.equal(first, second)


def test_regions_that_cannot_be_read_are_zero_and_leave_the_others_alone():
    rois = torch.cat((UNREADABLE, random_rois(3)))
    features, weight = distinct_map(), some_weights((len(rois), 3, 2, 2))
    pooled = roi_pool(features, rois, 2, STRIDE)
    assert pooled[: len(UNREADABLE)].eq(0).all()
    torch.testing.assert_close(pooled[len(UNREADABLE) :], peer(features, random_rois(3), 2))
    gradient = gradient_of(lambda f: roi_pool(f, rois, 2, STRIDE), features, weight)
    expected = gradient_of(lambda f: peer(f, random_rois(3), 2), features, weight[-3:])
    torch.testing.assert_close(gradient, expected)


def test_a_region_upside_down_counts_as_one_cell():
    features = distinct_map()
    pooled = roi_pool(features, UPSIDE_DOWN, 2, STRIDE)
    torch.testing.assert_close(pooled, peer(features, UPSIDE_DOWN, 2), rtol=0, atol=0)
    expected = features[0, :, 5, 6, None, None].expand(3, 2, 2)  # 90 / 16 = 5.6 -> 6, 80 / 16 = 5
    torch.testing.assert_close(pooled[0], expected)


def test_no_image_and_no_channel_give_what_there_is():
    for shape in ((0, 3, 6, 9), (2, 0, 6, 9)):
        features = torch.zeros(shape, requires_grad=True)
        pooled = roi_pool(features, random_rois(4), 2, STRIDE)
        assert pooled.shape == (4, shape[1], 2, 2)
        assert pooled.eq(0).all()
        pooled.sum().backward()
        assert features.grad.shape == shape


def test_no_region_gives_no_bins_and_a_gradient_of_zero():
    features = distinct_map().requires_grad_()
    for pool in (roi_pool, reference.roi_pool):
        features.grad = None
        pooled = pool(features, torch.zeros(0, 5), 7, STRIDE)
        assert pooled.shape == (0, 3, 7, 7)
        pooled.sum().backward()
        assert features.grad.eq(0).all()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # opcheck's own doing
def test_an_op_that_torch_can_compile_whole_check_and_cast():
    features, rois = distinct_map().requires_grad_(), random_rois(6)
    for variant in (features, features.detach().to(memory_format=torch.channels_last).requires_grad_()):
        torch.library.opcheck(op.roi_pool, (variant, rois, 3, 16.0))
    torch.library.opcheck(op.roi_pool_backward, (some_weights((6, 3, 3, 3)), features.detach(), rois, 16.0, True))
    compiled = torch.compile(lambda f, r: roi_pool(f, r, 3, STRIDE).square(), fullgraph=True, backend="aot_eager")
    weight = some_weights((6, 3, 3, 3))
    torch.testing.assert_close(
        gradient_of(lambda f: compiled(f, rois), features, weight),
        gradient_of(lambda f: roi_pool(f, rois, 3, STRIDE).square(), features, weight),
    )
    with torch.autocast("cpu", torch.bfloat16):
        plain, half = roi_pool(features, rois, 3, STRIDE), roi_pool(features.bfloat16(), rois, 3, STRIDE)
    assert (plain.dtype, half.dtype) == (torch.float32, torch.bfloat16)


def test_wrong_arguments_are_told_what_was_wanted():
    features, rois = distinct_map(), random_rois(2)
    for wrong, message in (
        ((features[0], rois, 7, STRIDE), r"features must be \(B, C, H, W\)"),
        ((features, rois[:, 1:], 7, STRIDE), r"rois must be \(R, 5\) float rows .* \(2, 4\)"),
        ((features, rois, 0, STRIDE), "size must be 1 or more bins a side, got 0"),
        ((features, rois, 7, -16), "stride must be .* more than 0, got -16"),
    ):
        with pytest.raises(ValueError, match=message):
            roi_pool(*wrong)
