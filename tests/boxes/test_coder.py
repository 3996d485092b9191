import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection._utils import BoxCoder

from resdet.boxes.coder import LARGEST_LOG_SCALE, REGION, Units, decode, encode

corner = st.floats(-500, 500, width=32)
side = st.floats(1, 800, width=32)
boxes = st.tuples(corner, corner, side, side).map(lambda b: torch.tensor([b[0], b[1], b[0] + b[2], b[1] + b[3]]))


def random_boxes(count: int, seed: int) -> torch.Tensor:
    numbers = torch.rand(count, 4, generator=torch.Generator().manual_seed(seed))
    top_left = numbers[:, :2] * 300 - 50
    return torch.cat((top_left, top_left + 1 + numbers[:, 2:] * 200), 1)


def test_deltas_worked_by_hand():
    # anchor: centre (10, 10), 20 x 10; box: centre (15, 9), 40 x 5
    anchor, box = torch.tensor([0.0, 5.0, 20.0, 15.0]), torch.tensor([-5.0, 6.5, 35.0, 11.5])
    torch.testing.assert_close(encode(box, anchor), torch.tensor([0.25, -0.1, math.log(2), -math.log(2)]))


@settings(max_examples=200, deadline=None)
@given(boxes, boxes)
def test_decode_of_encode_is_the_box(box, anchor):
    """decode(encode(b, a), a) == b"""
    if ((box[2:] - box[:2]) / (anchor[2:] - anchor[:2])).max() > 62:
        return  # beyond the largest growth
    # relative to the numbers at hand: 1e-5 of an anchor's side or of its place
    torch.testing.assert_close(decode(encode(box, anchor), anchor), box, rtol=1e-5, atol=2e-2)


def test_equal_to_torchvisions_box_coder():
    a, b = random_boxes(60, 0), random_boxes(60, 1)
    theirs = BoxCoder((1.0, 1.0, 1.0, 1.0))
    torch.testing.assert_close(encode(b, a), theirs.encode_single(b, a))
    deltas = torch.randn(60, 4, generator=torch.Generator().manual_seed(2)) * 3  # some beyond the largest scale
    assert (deltas > LARGEST_LOG_SCALE).any()
    torch.testing.assert_close(decode(deltas, a), theirs.decode_single(deltas, a))


def test_no_delta_is_the_anchor_itself():
    anchors = random_boxes(20, 3)
    torch.testing.assert_close(decode(torch.zeros(20, 4), anchors), anchors)


def test_anchors_broadcast_over_images_and_classes():
    anchors, deltas = random_boxes(5, 4), torch.randn(2, 3, 5, 4)
    out = decode(deltas, anchors)
    assert out.shape == (2, 3, 5, 4)
    torch.testing.assert_close(out[1, 2], decode(deltas[1, 2], anchors))
    torch.testing.assert_close(encode(out, anchors)[0, 1], encode(out[0, 1], anchors))


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (5, 5, 5, 9), (9, 9, 5, 5)], ids=str)
def test_degenerate_boxes_have_finite_deltas_both_ways(box):
    box, anchor = torch.tensor(box, dtype=torch.float32), torch.tensor([0.0, 0.0, 16.0, 16.0])
    assert encode(box, anchor).isfinite().all()
    assert encode(anchor, box).isfinite().all()
    assert decode(encode(box, anchor), anchor).isfinite().all()


def test_sides_below_a_thousandth_of_a_pixel_count_as_that():
    box, anchor = torch.tensor([8.0, 8, 8, 9]), torch.tensor([0.0, 0, 16, 16])
    expected = torch.tensor([0.0, 0.5 / 16, math.log(1e-3 / 16), math.log(1 / 16)])
    torch.testing.assert_close(encode(box, anchor), expected)


def test_wild_deltas_stay_finite_and_grow_62_and_a_half_fold():
    anchor = torch.tensor([0.0, 0.0, 16.0, 32.0])
    out = decode(torch.tensor([0.0, 0.0, 1e6, 1e6]), anchor)
    torch.testing.assert_close(out[2:] - out[:2], torch.tensor([1000.0, 2000.0]))
    assert decode(torch.tensor([0.0, 0.0, -1e6, -1e6]), anchor).tolist() == [8, 16, 8, 16]


def test_units_are_what_a_delta_is_counted_in():
    anchor, box = torch.tensor([0.0, 5.0, 20.0, 15.0]), torch.tensor([-5.0, 6.5, 35.0, 11.5])
    found = encode(box, anchor, Units(0.1, 0.2, 0.5, 2.0))
    torch.testing.assert_close(found, torch.tensor([2.5, -0.5, 2 * math.log(2), -0.5 * math.log(2)]))
    torch.testing.assert_close(decode(found, anchor, Units(0.1, 0.2, 0.5, 2.0)), box)


def test_regions_units_are_torchvisions_weights_and_undone_by_decoding():
    a, b = random_boxes(60, 0), random_boxes(60, 1)
    theirs = BoxCoder((10.0, 10.0, 5.0, 5.0))
    torch.testing.assert_close(encode(b, a, REGION), theirs.encode_single(b, a))
    grown = ((b[:, 2:] - b[:, :2]) / (a[:, 2:] - a[:, :2])).amax(1) < 60  # the rest is held back
    assert grown.sum() > 50
    torch.testing.assert_close(decode(encode(b, a, REGION), a, REGION)[grown], b[grown], rtol=1e-4, atol=1e-3)
