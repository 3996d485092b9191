"""Classifying a data set, and its losses, with a network whose answers are known beforehand."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from resdet.inference.validation import ClassAnswers, classify_all, mean_losses
from resdet.structures import ImageBatch, Target

CPU = torch.device("cpu")


class Logits(nn.Module):
    """The logits of an image are the first pixels of its first channel."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def logits(self, images: Tensor) -> Tensor:
        assert not self.training and torch.is_inference_mode_enabled()
        return images[:, 0].flatten(1)[:, : self.classes].float()

    def forward(self, batch: ImageBatch) -> dict[str, Tensor]:
        assert not self.training and torch.is_inference_mode_enabled()
        return {"a": batch.images.float().mean() + torch.rand(()), "b": torch.tensor(1.0)}


def batches(rows: list[list[int]], labels: list[int], sizes: tuple[int, ...]) -> list[ImageBatch]:
    images = torch.tensor(rows, dtype=torch.uint8)[:, None, None, :].expand(-1, 3, 1, -1)
    targets = tuple(Target(label, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)) for label in labels)
    ends = np.cumsum((0, *sizes))
    return [ImageBatch(images[i:j], targets[i:j]) for i, j in pairwise(ends)]


def test_classify_all_answers_in_order_across_batches():
    rows = [[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0], [0, 9, 0, 8, 0, 7, 1]]
    found = classify_all(Logits(7).train(), batches(rows, [6, 6, 3], (2, 1)), CPU)
    assert isinstance(found, ClassAnswers)
    assert found.labels[:2].tolist() == [[6, 5, 4, 3, 2], [0, 1, 2, 3, 4]]
    assert found.labels[2, :4].tolist() == [1, 3, 5, 6]
    assert found.ranks.tolist() == [0, 6, 1]
    probabilities = torch.tensor(rows, dtype=torch.float32).softmax(1)
    torch.testing.assert_close(found.scores, probabilities.topk(5, 1).values)
    torch.testing.assert_close(found.losses, -probabilities[range(3), [6, 6, 3]].log())


def test_classify_all_gives_all_classes_where_there_are_fewer_than_five():
    found = classify_all(Logits(3), batches([[1, 3, 2]], [0], (1,)), CPU)
    assert found.labels.tolist() == [[1, 2, 0]]
    assert found.scores.sum().item() == pytest.approx(1)


def test_image_without_a_label_counts_as_of_class_0():
    found = classify_all(Logits(3), batches([[1, 3, 2]], [-1], (1,)), CPU)
    assert found.ranks.tolist() == [2]


def test_mean_losses_weigh_images_and_are_the_same_each_time():
    data = batches([[10] * 4, [20] * 4, [60] * 4], [0, 0, 0], (2, 1))
    first, again = (mean_losses(Logits(3), data, CPU) for _ in range(2))
    assert first == again
    torch.manual_seed(0)
    expected = ((15 + torch.rand(()).item()) * 2 + (60 + torch.rand(()).item())) / 3
    assert first == {"a": pytest.approx(expected, rel=1e-5), "b": pytest.approx(1.0)}
    before = torch.get_rng_state()
    assert mean_losses(Logits(3), data[1:], CPU)["b"] == 1.0, "of one image"
    assert torch.equal(torch.get_rng_state(), before), "a loop that measures it would draw the same in each epoch"
    assert mean_losses(Logits(3), [], CPU) == {}
