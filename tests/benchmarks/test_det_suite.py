"""The detection suite on a small network: ours and torchvision's parts give one answer; what agreeing means."""

import pytest
import torch

from resdet.benchmarks import det
from resdet.benchmarks.agreement import learn_alike, near, same
from resdet.heads.region import RegionHead
from resdet.structures import Detections


@pytest.fixture(scope="module")
def rows():
    small = {"depth": 18, "width": 192, "height": 160, "regions": 20, "runs": 1}
    return list(det.rows(torch.device("cpu"), **small, batches=(1, 2)))


def test_there_is_a_row_for_each_precision_of_testing_and_training(rows):
    sizes = "(R18-C4, 160x192, 20 regions)", "(R18-C4, 2 images of 160x192, 20 regions)"
    ways = [(way, own) for way in ("detecting", "training step") for own in ("fp32", "bf16", "bf16")]
    assert [row.name for row in rows] == [f"{way} in {own} {size}" for size in sizes for way, own in ways]
    assert [row.peer.rpartition(" ")[2] for row in rows] == ["fp32", "fp32", "bf16"] * 4


def test_detections_losses_and_gradients_are_those_of_torchvisions_parts(rows):
    assert [row.agree for row in rows] == [True] * 12


def test_no_ratio_is_given_where_the_answers_differ(monkeypatch):
    """Ours with its classes reversed, in either precision alike."""
    right = RegionHead.forward

    def reversed_classes(self, *args):
        logits, deltas = right(self, *args)
        return logits.flip(-1), deltas

    monkeypatch.setattr(RegionHead, "forward", reversed_classes)
    rows = det.rows(torch.device("cpu"), depth=18, width=96, height=96, regions=8, runs=1)
    detecting = [row for row, _ in zip(rows, range(3), strict=False)]
    assert [(row.agree, row.ratio) for row in detecting] == [(False, None)] * 3


def found(*rows):
    boxes, scores, labels = zip(*rows, strict=True)
    return Detections(torch.tensor(boxes), torch.tensor(scores), torch.tensor(labels))


ONE, TWO = ((0.0, 0, 10, 10), 0.9, 1), ((20.0, 20, 40, 40), 0.5, 0)


def test_detections_are_the_same_in_any_order_but_not_moved_rescored_renamed_or_missing():
    both = found(ONE, TWO)
    assert same(found(TWO, ONE), both)
    assert same(found(((0.04, 0, 10, 10), 0.9005, 1), TWO), both)
    for other in (((0.06, 0, 10, 10), 0.9, 1), ((0.0, 0, 10, 10), 0.902, 1), ((0.0, 0, 10, 10), 0.9, 2)):
        assert not same(found(other, TWO), both)
    assert not same(found(ONE), both)
    assert not same(found(ONE, ONE), both)


def test_regions_are_near_when_19_of_20_have_their_probability_and_box():
    boxes = torch.tensor([[30.0 * i, 0, 30 * i + 20, 20] for i in range(20)])[:, None]  # of one class
    probabilities = torch.tensor([[0.5, 0.5]] * 20)
    shift, loss = torch.tensor([1.0, 0, 1, 0]), torch.tensor([0.04, -0.04])
    assert near((probabilities - loss, boxes + shift), (probabilities, boxes))
    for far_loss, far_shift in ((loss * 1.4, shift), (loss, shift * 2)):
        for many, expected in ((1, True), (2, False)):
            rows = torch.arange(20)[:, None] < many
            moved = torch.where(rows[:, :, None], boxes + far_shift, boxes + shift)
            found = torch.where(rows, probabilities - far_loss, probabilities - loss), moved
            assert near(found, (probabilities, boxes)) == expected
    unlikely = torch.where(torch.arange(20)[:, None] < 10, probabilities, torch.tensor([0.04, 0.96]))
    elsewhere = torch.where(torch.arange(20)[:, None, None] < 10, boxes, boxes + 100)
    assert near((unlikely, elsewhere), (unlikely, boxes))  # what nobody sees may be anywhere
    assert not near((probabilities * 0, boxes), (probabilities * 0, boxes))  # but something must be seen
    seen_by_one = torch.cat((probabilities[:1], probabilities[1:] * 0))
    assert not near((probabilities, boxes), (seen_by_one, boxes))  # what the expected answer has not is no answer to it
    assert not near((seen_by_one, boxes), (probabilities, boxes))


def test_steps_teach_alike_when_losses_and_directions_are_near():
    step = [torch.tensor(2.0), torch.tensor([[1.0, 0], [0, 1]])]
    assert learn_alike([torch.tensor(2.01), torch.tensor([[3.0, 0.1], [0, 3]])], step, loss=0.01, angle=0.01)
    assert not learn_alike([torch.tensor(2.1), step[1]], step, loss=0.01, angle=0.01)
    assert not learn_alike([step[0], torch.tensor([[1.0, 0], [0, -1]])], step, loss=0.01, angle=0.01)
    assert not learn_alike([torch.tensor(float("nan")), step[1]], step, loss=0.01, angle=0.01)
