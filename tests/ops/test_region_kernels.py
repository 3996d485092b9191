"""The Triton kernels of RoI pool and RoI align, held to the CPU's paths; interpreted where there is no GPU."""

import importlib
from functools import partial

import pytest
import torch
from regions_to_try import (
    HEIGHT,
    ROIS,
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

from resdet.ops import roi_align, roi_pool
from resdet.ops.roi_align import cpu as align_cpu
from resdet.ops.roi_align.sampling import Rule
from resdet.ops.roi_pool import cpu as pool_cpu

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="module")
def align():
    return importlib.import_module("resdet.ops.roi_align.triton")


@pytest.fixture(scope="module")
def pool():
    return importlib.import_module("resdet.ops.roi_pool.triton")


@pytest.fixture(autouse=True)
def unwritten_memory_shows(monkeypatch):
    """torch.empty full of NaN: a bin or cell that a kernel leaves out cannot pass for a right one."""
    empty = torch.empty

    def filled(*args, **kwargs):
        tensor = empty(*args, **kwargs)
        return tensor.fill_(float("nan") if tensor.is_floating_point() else torch.iinfo(tensor.dtype).min)

    monkeypatch.setattr(torch, "empty", filled)


def check_align(align, features, rois, size, rule) -> None:
    """Forward and backward in the features' own memory format; a rule is sampling, aligned and, if not 1, step."""
    rule = Rule(size, STRIDE, *rule)
    expected = align_cpu.forward(features, rois, rule)
    channels_last = features.is_contiguous(memory_format=torch.channels_last)
    weight = some_weights(expected.shape, features.dtype)
    slope = align_cpu.backward(weight, rois, features.shape, rule, channels_last)
    rois = rois.to(DEVICE)
    pooled = align.forward(features.to(DEVICE), rois, rule)
    torch.testing.assert_close(pooled.cpu(), expected)
    assert pooled.stride() == expected.stride()
    actual = align.backward(weight.to(DEVICE), rois, features.shape, rule, channels_last)
    torch.testing.assert_close(actual.cpu(), slope)
    assert actual.stride() == slope.stride()


def check_pool(pool, features, rois, size) -> None:
    """Forward and backward in the features' own memory format."""
    expected = pool_cpu.forward(features, rois, size, STRIDE)
    channels_last = features.is_contiguous(memory_format=torch.channels_last)
    weight = some_weights(expected.shape, features.dtype)
    slope = pool_cpu.backward(weight, features, rois, STRIDE, channels_last)
    rois, on_device = rois.to(DEVICE), features.to(DEVICE)
    pooled = pool.forward(on_device, rois, size, STRIDE)
    torch.testing.assert_close(pooled.cpu(), expected, rtol=0, atol=0)
    assert pooled.stride() == expected.stride()
    actual = pool.backward(weight.to(DEVICE), on_device, rois, STRIDE, channels_last)
    torch.testing.assert_close(actual.cpu(), slope)
    assert actual.stride() == slope.stride()


@each_rois
def test_roi_align_equals_the_cpu(align, rois):
    check_align(align, distinct_map(3).to(memory_format=torch.channels_last), rois, 2, (0, True))


@pytest.mark.parametrize("rule", [(0, False), (2, True), (3, False)])
def test_roi_align_by_every_rule(align, rule):
    for rois in (ROIS["past the border"][:2], UPSIDE_DOWN[:1]):
        check_align(align, distinct_map(2), rois, 2, rule)


@pytest.mark.parametrize(("size", "step"), [(3, 2), (4, 3)])
def test_roi_align_of_every_few_bins(align, size, step):
    rois = torch.cat((ROIS["two images"][:2], ROIS["past the border"][:1], UPSIDE_DOWN[:1]))
    check_align(align, distinct_map(2), rois, size, (0, True, step))


@each_rois
def test_roi_pool_equals_the_cpu(pool, rois):
    check_pool(pool, distinct_map(3).to(memory_format=torch.channels_last), rois, 2)


def test_unreadable_and_upside_down_regions(align, pool):
    rois = torch.cat((UNREADABLE, ROIS["inside"][:1]))
    check_align(align, distinct_map(2), rois, 1, (0, True))
    nowhere = distinct_map(2)
    nowhere[0] = float("nan")  # where an unreadable region would be read if it were
    assert align.forward(nowhere.to(DEVICE), UNREADABLE[::3].to(DEVICE), Rule(1, STRIDE, 0, True)).eq(0).all()
    check_pool(pool, distinct_map(2), torch.cat((UNREADABLE[::3], UPSIDE_DOWN[:1])), 1)


@pytest.mark.parametrize("channels", [1, 130])  # 130: two more than a block, and not a power of two
def test_any_number_of_channels_either_memory_format_and_a_map_wider_than_a_stretch(align, pool, channels):
    generator = torch.Generator().manual_seed(channels)
    wide = torch.randperm(channels * 2 * 18, generator=generator).reshape(1, channels, 2, 18).float()
    rois = torch.tensor([[0.0, 210, 5, 280, 30]])
    check_align(align, wide / channels, rois, 2, (0, True))
    check_pool(pool, wide.to(memory_format=torch.channels_last), rois, 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_roi_align_in_other_types(align, dtype):
    check_align(align, distinct_map(2, dtype), ROIS["past the border"], 1, (0, True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_roi_pool_in_other_types(pool, dtype):
    check_pool(pool, distinct_map(2, dtype), ROIS["past the border"], 1)


def test_more_regions_than_are_looked_at_at_once(align, pool, monkeypatch):
    for kernels in (align, pool):
        monkeypatch.setattr(kernels, "LOOKED_AT", 2)
    rois = torch.cat((ROIS["two images"], UNREADABLE[:2], ROIS["thinner than a cell"][:2]))
    check_align(align, distinct_map(2), rois, 2, (0, True))
    check_pool(pool, distinct_map(2), rois, 2)


def test_maps_whose_cells_16_bits_do_not_tell_apart(pool, monkeypatch):
    monkeypatch.setattr(pool, "IN_16_BITS", HEIGHT * WIDTH - 1)
    check_pool(pool, distinct_map(2), ROIS["two images"], 2)


def test_the_backward_pass_takes_over_what_the_forward_pass_found(align, pool, monkeypatch):
    rois, features = torch.cat((ROIS["two images"][:2], UNREADABLE[:1])), distinct_map(2)
    weight = some_weights((3, 2, 2, 2))
    for face, kernels, again in ((roi_align, align, "_weights"), (roi_pool, pool, "_launch_maxima")):
        op, work, calls = importlib.import_module(f"{face.__module__}.op"), getattr(kernels, again), []

        def counted(*args, work=work, calls=calls):
            calls.append(args)
            return work(*args)

        expected = gradient_of(lambda f, face=face: face(f, rois, 2, STRIDE), features, weight)
        monkeypatch.setattr(op, "runs_triton", lambda tensor: True)
        monkeypatch.setattr(kernels, again, counted)
        there = features.to(DEVICE), weight.to(DEVICE)
        actual = gradient_of(lambda f, face=face: face(f, rois.to(DEVICE), 2, STRIDE), *there)
        torch.testing.assert_close(actual.cpu(), expected)
        assert len(calls) == 1


def test_a_value_that_is_no_number_stays_in_the_bins_that_read_it(align):
    features = distinct_map(2)
    features[0, :, 1, 1] = float("nan")
    rois = torch.tensor([[0.0, 8, 8, 136, 88]])
    expected = align_cpu.forward(features, rois, Rule(4, STRIDE, 0, True))
    assert 0 < expected.isnan().sum() < expected.numel() / 2
    actual = align.forward(features.to(DEVICE), rois.to(DEVICE), Rule(4, STRIDE, 0, True)).cpu()
    torch.testing.assert_close(actual, expected, equal_nan=True)


def test_two_backward_runs_give_equal_bits(align, pool):
    count = 200 if DEVICE.type == "cuda" else 4
    features, rois = distinct_map(3).to(DEVICE), random_rois(count).to(DEVICE)
    weight = some_weights((count, 3, 1, 1)).to(DEVICE)
    runs = [align.backward(weight, rois, features.shape, Rule(1, STRIDE, 0, True), False) for _ in range(2)]
    assert torch.equal(*runs)
    runs = [pool.backward(weight, features, rois, STRIDE, False) for _ in range(2)]
    assert torch.equal(*runs)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_faces_run_them_on_a_gpu_without_a_copy_of_the_map(dtype):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 256, 38, 50, generator=generator).to(DEVICE, dtype, memory_format=torch.channels_last)
    rois = random_rois(300).to(DEVICE) * torch.tensor([1.0, 4, 4, 4, 4], device=DEVICE)
    for face, most in ((roi_align, 1.2), (roi_pool, 3.2)):
        op, on_cpu = (partial(face, rois=there, size=14, stride=STRIDE) for there in (rois, rois.cpu()))
        features.grad = None
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        pooled = op(features.requires_grad_())
        assert pooled.is_contiguous(memory_format=torch.channels_last)
        pooled.backward(torch.ones_like(pooled))
        bins = 2 * pooled.numel() * pooled.element_size()  # the bins and their gradient
        map_bytes = features.numel() * features.element_size()
        assert torch.cuda.max_memory_allocated() - before < most * bins + 2 * map_bytes + 2**22
        torch.testing.assert_close(pooled.detach().cpu(), on_cpu(features.detach().float().cpu()).to(dtype))


@pytest.mark.gpu
def test_a_map_of_more_than_two_to_the_31_values_is_addressed_whole():
    features = torch.zeros(9, 256, 1000, 1000, dtype=torch.float16, device=DEVICE)
    features[8, 255, 990, 990] = 7
    rois = torch.tensor([[8.0, 990, 990, 990.2, 990.2]], device=DEVICE)
    assert roi_pool(features, rois, 1, 1.0)[0, 255].item() == 7
    assert roi_align(features, rois + torch.tensor([0, 0.4, 0.4, 0.4, 0.4], device=DEVICE), 1, 1.0)[0, 255].item() > 5


@pytest.mark.gpu
@pytest.mark.parametrize("op", [roi_align, roi_pool])
def test_gradients_on_a_gpu_are_those_of_the_cpu(op):
    features, rois = distinct_map(130), random_rois(60)
    weight = some_weights((60, 130, 7, 7))
    here = gradient_of(lambda f: op(f, rois, 7, STRIDE), features, weight)
    there = gradient_of(lambda f: op(f, rois.to(DEVICE), 7, STRIDE), features.to(DEVICE), weight.to(DEVICE))
    torch.testing.assert_close(there.cpu(), here)
