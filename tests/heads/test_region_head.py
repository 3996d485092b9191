import pytest
import torch

from resdet.heads.region import RegionHead


@pytest.mark.parametrize("context", [False, True])
def test_a_region_has_a_score_for_each_class_and_background_and_a_box_for_each_class(context):
    head = RegionHead(6, classes=4, context=context)
    logits, deltas = head(torch.randn(5, 12 if context else 6))
    assert logits.shape == (5, 5)
    assert deltas.shape == (5, 4, 4)


def test_the_box_of_a_class_is_four_outputs_in_a_row():
    head = RegionHead(6, classes=3)
    vectors = torch.randn(2, 6)
    _, deltas = head(vectors)
    torch.testing.assert_close(deltas[:, 1], (vectors @ head.reg.weight.T + head.reg.bias)[:, 4:8])


def test_new_layers_are_drawn_as_in_faster_rcnn():
    head = RegionHead(512, classes=40)
    assert abs(head.cls.weight.std().item() - 0.01) < 0.0005
    assert abs(head.reg.weight.std().item() - 0.001) < 0.00005
    assert not head.cls.bias.any()
    assert not head.reg.bias.any()


def test_no_regions_and_half_precision():
    head = RegionHead(6, classes=4)
    logits, deltas = head(torch.zeros(0, 6))
    assert logits.shape == (0, 5)
    assert deltas.shape == (0, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        logits, deltas = head(torch.randn(3, 6).bfloat16())
    assert (logits.dtype, deltas.dtype) == (torch.float32, torch.float32)


def test_unused_outputs_count_as_background():
    torch.manual_seed(0)
    head = RegionHead(5, 3, unused=2)
    torch.nn.init.normal_(head.cls.weight)
    vectors = torch.randn(7, 5)
    logits, deltas = head(vectors)
    every = head.cls(vectors).softmax(1)
    assert (every.shape, logits.shape, deltas.shape) == ((7, 6), (7, 4), (7, 3, 4))
    torch.testing.assert_close(logits.softmax(1)[:, :3], every[:, :3])
    torch.testing.assert_close(logits.softmax(1)[:, 3], every[:, 3:].sum(1))
