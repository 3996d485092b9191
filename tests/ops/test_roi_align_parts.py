"""RoI align on the CPU goes in parts, of as many regions as its memory allows."""

from functools import partial

import pytest
import torch
from regions_to_try import HEIGHT, IMAGES, STRIDE, WIDTH, distinct_map, gradient_of, random_rois, some_weights

from resdet.ops import roi_align
from resdet.ops.roi_align import cpu


def spied(monkeypatch, work):
    """Of every part of ``work``: the bins or cells that are summed, and what is read for them."""
    seen, sums = [], cpu._sums
    with monkeypatch.context() as patch:
        patch.setattr(cpu, "_sums", lambda *given: seen.append((len(given[3]) - 1, len(given[1]))) or sums(*given))
        work()
    return seen


@pytest.mark.parametrize(
    ("at_once", "parts"),
    [(18, [(6, 18)]), (17, [(5, 14), (1, 4)]), (8, [(2, 8), (3, 6), (1, 4)]), (3, [(1, 4)] * 3 + [(2, 2), (1, 4)])],
)
def test_a_part_has_as_many_regions_as_readings_allow_and_one_at_least(at_once, parts, monkeypatch):
    # a bin of one sample: between cell centres it reads four cells, on a centre one
    between, on = [0.0, 16, 16, 48, 48], [0.0, 16, 16, 32, 32]
    rois = torch.tensor([between, between, between, on, on, between])
    monkeypatch.setattr(cpu, "AT_ONCE", at_once)
    align, features = partial(roi_align, rois=rois, size=1, stride=STRIDE, sampling=1), distinct_map()
    assert spied(monkeypatch, lambda: align(features)) == parts
    back = spied(monkeypatch, lambda: gradient_of(align, features, some_weights((6, 3, 1, 1))))[len(parts) :]
    assert back == [(IMAGES * HEIGHT * WIDTH, readings) for _, readings in parts]


@pytest.mark.parametrize(("widened", "regions"), [(5, [1, 1, 1, 1, 1]), (54, [2, 2, 1]), (134, [4, 1])])
def test_half_precision_widens_no_more_than_agreed_at_once(widened, regions, monkeypatch):
    # of 5 x 5 bins every second: 3 x 3, of 3 channels: 27 numbers a region
    align = partial(roi_align, rois=random_rois(5), size=5, stride=STRIDE, step=2)
    features, weight = distinct_map(), some_weights((5, 3, 3, 3))
    whole, slope = align(features.bfloat16()), gradient_of(align, features.bfloat16(), weight.bfloat16())
    monkeypatch.setattr(cpu, "WIDENED_AT_ONCE", widened)
    assert torch.equal(align(features.bfloat16()), whole)
    assert [bins for bins, _ in spied(monkeypatch, lambda: align(features.bfloat16()))] == [9 * n for n in regions]
    assert len(spied(monkeypatch, lambda: align(features))) == 1
    monkeypatch.setattr(cpu, "WIDENED_BACK_AT_ONCE", widened)
    found = []
    back = spied(monkeypatch, lambda: found.append(gradient_of(align, features.bfloat16(), weight.bfloat16())))
    assert len(back) == 2 * len(regions)
    torch.testing.assert_close(found[0], slope)
    assert len(spied(monkeypatch, lambda: gradient_of(align, features, weight))) == 2
