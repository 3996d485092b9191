import time

import pytest
import torch
import torchvision
from regions_to_try import (
    HEIGHT,
    IMAGES,
    STRIDE,
    UNREADABLE,
    UPSIDE_DOWN,
    WIDTH,
    distinct_map,
    each_rois,
    gradient_of,
    random_rois,
    some_weights,
)

from resdet.ops import roi_align
from resdet.ops.roi_align import cpu, op, reference

each_rule = pytest.mark.parametrize(("sampling", "aligned"), [(0, True), (0, False), (2, True), (3, False)])


def peer(features, rois, size, sampling=0, aligned=True):
    return torchvision.ops.roi_align(features, rois.to(features.dtype), size, 1 / STRIDE, sampling or -1, aligned)


def test_four_samples_of_a_ramp_worked_by_hand():
    # cell (y, x) holds 10 y + x, so that a sample at (y, x) cells is worth that, and a bin its centre
    ramp = torch.arange(6.0)[:, None] * 10 + torch.arange(9.0)
    rois = torch.tensor([[0.0, 16, 32, 80, 64]])  # cells 1..5 x 2..4; half a cell less by aligned
    pooled = roi_align(ramp[None, None], rois, 2, 16, sampling=2)
    # columns 0.5 .. 4.5: bins of 2 cells around 1.5 and 3.5; rows 1.5 .. 3.5: bins of 1 cell around 2 and 3
    torch.testing.assert_close(pooled[0, 0], torch.tensor([[21.5, 23.5], [31.5, 33.5]]))
    older = roi_align(ramp[None, None], rois, 2, 16, sampling=2, aligned=False)
    torch.testing.assert_close(older[0, 0], torch.tensor([[27.0, 29.0], [37.0, 39.0]]))


@each_rule
@each_rois
def test_equals_torchvision_forward_and_gradient(rois, sampling, aligned):
    features = distinct_map()
    for size in (1, 2, 7):
        weight = some_weights((len(rois), 3, size, size))
        ours = roi_align(features, rois, size, STRIDE, sampling, aligned)
        torch.testing.assert_close(ours, peer(features, rois, size, sampling, aligned))
        torch.testing.assert_close(
            gradient_of(lambda f: roi_align(f, rois, size, STRIDE, sampling, aligned), features, weight),  # noqa: B023
            gradient_of(lambda f: peer(f, rois, size, sampling, aligned), features, weight),  # noqa: B023
        )


def test_two_samples_a_cell_wherever_a_region_far_larger_than_the_map_begins():
    # bins a little longer than a cell have two samples each, the densest there are; of these few lie on the map
    features = distinct_map()[:, :, :4, :4]
    begin = -torch.arange(0.0, 24.0, 0.23)[:, None] * STRIDE
    rois = torch.cat((torch.zeros_like(begin), begin, begin, begin + 24.3 * STRIDE, begin + 24.3 * STRIDE), 1)
    torch.testing.assert_close(roi_align(features, rois, 24, STRIDE), peer(features, rois, 24))
    rois[:, 3:] -= 12.1 * STRIDE
    torch.testing.assert_close(roi_align(features, rois, 12, STRIDE), peer(features, rois, 12))


@pytest.mark.parametrize("channels_last", [False, True])
@each_rule
def test_equals_the_reference_in_either_memory_format(sampling, aligned, channels_last):
    memory = torch.channels_last if channels_last else torch.contiguous_format
    features, rois = distinct_map(130).to(memory_format=memory), random_rois(40)
    weight = some_weights((40, 130, 3, 3))
    ours = roi_align(features, rois, 3, STRIDE, sampling, aligned)
    torch.testing.assert_close(ours, reference.roi_align(features, rois, 3, STRIDE, sampling, aligned))
    assert ours.is_contiguous(memory_format=memory)
    gradient = gradient_of(lambda f: roi_align(f, rois, 3, STRIDE, sampling, aligned), features, weight)
    expected = gradient_of(lambda f: reference.roi_align(f, rois, 3, STRIDE, sampling, aligned), features, weight)
    torch.testing.assert_close(gradient, expected)
    assert gradient.is_contiguous(memory_format=memory)


def test_gradient_of_the_reference_and_ours_is_the_slope_in_float64():
    features, rois = distinct_map(1, torch.float64)[:, :, :4].requires_grad_(), random_rois(4).double()
    for align in (reference.roi_align, op.roi_align):
        assert torch.autograd.gradcheck(lambda f: align(f, rois, 2, 16.0, 0, True, 1), features)  # noqa: B023


@pytest.mark.parametrize("align", [op.run, op.roi_align], ids=["eager", "operator"])
def test_gradient_of_the_gradient_is_its_slope_in_float64(align):
    features, rois = distinct_map(1, torch.float64)[:, :, :4].requires_grad_(), random_rois(4).double()
    for rule in ((0, True, 1), (2, False, 2)):
        assert torch.autograd.gradgradcheck(lambda f: align(f, rois, 3, 16.0, *rule).square(), features)  # noqa: B023


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_regions_in_half_precision_are_computed_with_in_float32(dtype):
    rois = random_rois(60).to(dtype)
    pooled, expected = (roi_align(distinct_map(), given, 4, 13.0) for given in (rois, rois.float()))
    torch.testing.assert_close(pooled, expected, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("channels_last", [False, True])
def test_half_precision_is_the_float32_answer_rounded_once(dtype, channels_last):
    memory = torch.channels_last if channels_last else torch.contiguous_format
    features, rois = distinct_map(9, dtype).to(memory_format=memory), random_rois(60)
    exact = roi_align(features.float(), rois, 4, STRIDE)
    pooled = roi_align(features, rois, 4, STRIDE)
    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled, exact.to(dtype), rtol=0, atol=0)
    weight = some_weights(pooled.shape, dtype)
    slope = gradient_of(lambda f: roi_align(f, rois, 4, STRIDE), features, weight)
    exact_slope = gradient_of(lambda f: roi_align(f, rois, 4, STRIDE), features.float(), weight.float())
    torch.testing.assert_close(slope, exact_slope.to(dtype), rtol=0, atol=0)


def test_two_backward_runs_give_equal_bits():
    features, rois = distinct_map(64), random_rois(200)
    weight = some_weights((200, 64, 7, 7))
    first, second = (gradient_of(lambda f: roi_align(f, rois, 7, STRIDE), features, weight) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("channels_last", [False, True])
def test_regions_in_parts_are_as_all_at_once(channels_last, monkeypatch):
    features, rois = distinct_map(8), torch.cat((random_rois(30), UNREADABLE, random_rois(5)))
    features = features.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    weight = some_weights((len(rois), 8, 3, 3))
    whole = roi_align(features, rois, 3, STRIDE)
    slope = gradient_of(lambda f: roi_align(f, rois, 3, STRIDE), features, weight)
    for readings in (1, 100, 1000):
        monkeypatch.setattr(cpu, "AT_ONCE", readings)
        assert torch.equal(roi_align(features, rois, 3, STRIDE), whole)
        torch.testing.assert_close(gradient_of(lambda f: roi_align(f, rois, 3, STRIDE), features, weight), slope)


@pytest.mark.parametrize("channels_last", [False, True])
def test_bins_may_be_written_to_in_place_while_they_are_learnt_through(channels_last):
    memory = torch.channels_last if channels_last else torch.contiguous_format
    features, rois = distinct_map(8).contiguous(memory_format=memory), random_rois(6)
    weight = some_weights((6, 8, 3, 3))
    slope = gradient_of(lambda f: roi_align(f, rois, 3, STRIDE).mul_(2).relu_(), features, weight)
    expected = gradient_of(lambda f: (roi_align(f, rois, 3, STRIDE) * 2).relu(), features, weight)
    torch.testing.assert_close(slope, expected)


def test_regions_that_cannot_be_read_are_zero_and_leave_the_others_alone():
    rois = torch.cat((UNREADABLE, random_rois(3)))
    features, weight = distinct_map(), some_weights((len(rois), 3, 2, 2))
    for sampling in (0, 2):
        pooled = roi_align(features, rois, 2, STRIDE, sampling)
        assert pooled[: len(UNREADABLE)].eq(0).all()
        torch.testing.assert_close(pooled[len(UNREADABLE) :], peer(features, random_rois(3), 2, sampling))
        gradient = gradient_of(lambda f: roi_align(f, rois, 2, STRIDE, sampling), features, weight)  # noqa: B023
        expected = gradient_of(lambda f: peer(f, random_rois(3), 2, sampling), features, weight[-3:])  # noqa: B023
        torch.testing.assert_close(gradient, expected)


def test_a_region_upside_down_has_no_adaptive_samples_and_is_read_backwards_by_fixed_ones():
    features = distinct_map()
    assert roi_align(features, UPSIDE_DOWN, 2, STRIDE).eq(0).all()
    fixed = roi_align(features, UPSIDE_DOWN, 2, STRIDE, sampling=2)
    torch.testing.assert_close(fixed, peer(features, UPSIDE_DOWN, 2, 2))
    upright = roi_align(features, UPSIDE_DOWN[:, [0, 3, 4, 1, 2]], 2, STRIDE, sampling=2)
    torch.testing.assert_close(fixed[0], upright[0].flip(1, 2))
    older = roi_align(features, UPSIDE_DOWN, 2, STRIDE, sampling=2, aligned=False)  # measures one cell
    torch.testing.assert_close(older, peer(features, UPSIDE_DOWN, 2, 2, False))


def test_a_region_of_millions_of_cells_takes_no_longer_than_another():
    features = distinct_map()
    began = time.perf_counter()
    pooled = roi_align(features, torch.tensor([[0.0, -5e7, -5e7, 6e7, 6e7]]), 7, STRIDE)
    assert time.perf_counter() - began < 1, "it has 490,000 samples a bin and axis"
    assert pooled.isfinite().all()


def test_nan_in_one_image_stays_out_of_the_regions_of_another_and_of_those_that_cannot_be_read():
    features = distinct_map()
    features[1] = float("nan")
    assert roi_align(features, random_rois(20, images=1), 2, STRIDE).isfinite().all()
    features[0] = float("nan")
    assert roi_align(features, UNREADABLE, 2, STRIDE).eq(0).all()


@each_rois
@pytest.mark.parametrize(("size", "step"), [(14, 2), (7, 2), (4, 3), (2, 5)])
def test_a_step_leaves_bins_out_and_changes_none(rois, size, step):
    for features in (distinct_map(), distinct_map().to(memory_format=torch.channels_last)):
        ours = roi_align(features, rois, size, STRIDE, step=step)
        torch.testing.assert_close(ours, peer(features, rois, size, 0, True)[:, :, ::step, ::step])
        torch.testing.assert_close(ours, reference.roi_align(features, rois, size, STRIDE, 0, True, step))
        weight = some_weights(ours.shape)
        torch.testing.assert_close(
            gradient_of(lambda f: roi_align(f, rois, size, STRIDE, step=step), features, weight),
            gradient_of(lambda f: peer(f, rois, size, 0, True)[:, :, ::step, ::step], features, weight),
        )


def test_no_image_and_no_channel_give_what_there_is():
    for shape in ((0, 3, 6, 9), (2, 0, 6, 9)):
        features = torch.zeros(shape, requires_grad=True)
        pooled = roi_align(features, random_rois(4), 2, STRIDE)
        assert pooled.shape == (4, shape[1], 2, 2)
        assert pooled.eq(0).all()
        pooled.sum().backward()
        assert features.grad.shape == shape


def test_no_region_gives_no_bins_and_a_gradient_of_zero():
    features = distinct_map().requires_grad_()
    for align in (roi_align, lambda *a: reference.roi_align(*a, 0, True)):
        features.grad = None
        pooled = align(features, torch.zeros(0, 5), 7, STRIDE)
        assert pooled.shape == (0, 3, 7, 7)
        pooled.sum().backward()
        assert features.grad.eq(0).all()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # opcheck's own doing
def test_an_op_that_torch_can_compile_whole_check_and_cast():
    features, rois = distinct_map().requires_grad_(), random_rois(6)
    for variant in (features, features.detach().to(memory_format=torch.channels_last).requires_grad_()):
        torch.library.opcheck(op.roi_align, (variant, rois, 3, 16.0, 0, True, 1))
        torch.library.opcheck(op.roi_align, (variant, rois, 4, 16.0, 0, True, 3))
    backward = (some_weights((6, 3, 2, 2)), rois, [2, 3, 6, 9], 4, 16.0, 0, True, 2, True)
    torch.library.opcheck(op.roi_align_backward, backward)
    compiled = torch.compile(lambda f, r: roi_align(f, r, 3, STRIDE).square(), fullgraph=True, backend="aot_eager")
    weight = some_weights((6, 3, 3, 3))
    torch.testing.assert_close(
        gradient_of(lambda f: compiled(f, rois), features, weight),
        gradient_of(lambda f: roi_align(f, rois, 3, STRIDE).square(), features, weight),
    )
    with torch.autocast("cpu", torch.bfloat16):
        plain, half = roi_align(features, rois, 3, STRIDE), roi_align(features.bfloat16(), rois, 3, STRIDE)
    assert (plain.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    torch.testing.assert_close(plain, roi_align(features, rois, 3, STRIDE), rtol=0, atol=0)


class Aligned(torch.nn.Module):
    def forward(self, features, rois):
        return roi_align(features, rois, 3, STRIDE)


def test_one_program_takes_any_number_of_regions():
    features, free = distinct_map(), ({}, {0: torch.export.Dim.DYNAMIC})
    program = torch.export.export(Aligned(), (features, random_rois(6)), dynamic_shapes=free).module()
    for rois in (random_rois(2), random_rois(11)):
        torch.testing.assert_close(program(features, rois), roi_align(features, rois, 3, STRIDE))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"features": torch.zeros(3, 6, 9)}, r"features must be \(B, C, H, W\) of floats, got .*\(3, 6, 9\)"),
        ({"features": torch.zeros(2, 3, 6, 9, dtype=torch.uint8)}, "got torch.uint8"),
        ({"features": torch.zeros(2, 3, 6, 0)}, r"must have a cell at least, got \(2, 3, 6, 0\)"),
        ({"features": torch.zeros(2, 3, 0, 6)}, r"must have a cell at least, got \(2, 3, 0, 6\)"),
        ({"rois": torch.zeros(4, 4)}, r"rois must be \(R, 5\) float rows of \(image, x1, y1, x2, y2\).*\(4, 4\)"),
        ({"rois": torch.zeros(4, 5, dtype=torch.int64)}, "float rows .* got torch.int64"),
        ({"size": 0}, "size must be 1 or more bins a side, got 0"),
        ({"stride": 0}, "stride must be input pixels a cell, more than 0, got 0"),
        ({"sampling": -1}, "sampling must be 0 .* or more, got -1"),
        ({"step": 0}, "step must be 1 .* or more, got 0"),
    ],
)
def test_wrong_arguments_are_told_what_was_wanted(wrong, message):
    right = {"features": torch.zeros(IMAGES, 3, HEIGHT, WIDTH), "rois": random_rois(2), "size": 7, "stride": STRIDE}
    with pytest.raises(ValueError, match=message):
        roi_align(**(right | wrong))
