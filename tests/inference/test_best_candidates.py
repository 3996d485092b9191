"""What a perfect choice among the candidates would reach."""

import numpy as np
import torch
from torch import Tensor, nn

from resdet.data.viewed_images import ViewedImage
from resdet.inference.loc import best_candidates
from resdet.structures import Target, View

CPU = torch.device("cpu")


class Fixed(nn.Module):
    """Three candidates a view, those of class 1 moved by 2; their scores say nothing."""

    def features(self, images: Tensor) -> dict[str, Tensor]:
        assert not self.training and torch.is_inference_mode_enabled()
        return {"conv5": images}

    def boxes(self, maps: dict[str, Tensor], classes: Tensor) -> tuple[Tensor, Tensor]:
        boxes = torch.tensor([[0.0, 0, 8, 8], [0, 0, 16, 8], [-4, -4, 16, 16]])
        return torch.rand(*classes.shape, 3), boxes + 2.0 * classes[..., None, None]


def viewed(index: int) -> ViewedImage:
    # a view of 16 pixels of an image of 32: candidates count double in the image
    view = View((0, 0, 32, 32), 16, 16)
    return ViewedImage(index, 32, 32, (view,), (np.zeros((16, 16, 3), np.uint8),))


def test_the_best_candidate_is_held_against_the_true_boxes_of_the_class_alone() -> None:
    truths = [
        Target(0, torch.tensor([[0.0, 0, 32, 16]]), torch.tensor([0])),  # the second candidate to the pixel
        Target(0, torch.tensor([[0.0, 0, 32, 32]]), torch.tensor([0])),  # the third, once cut at the image's edge
        Target(0, torch.tensor([[0.0, 0, 16, 16], [0, 0, 24, 16]]), torch.tensor([1, 0])),  # the first is of class 1
        Target(0, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)),
        Target(1, torch.tensor([[4.0, 4, 20, 20]]), torch.tensor([1])),  # the first candidate of class 1
    ]
    batches = [[viewed(0), viewed(1)], [viewed(2), viewed(3), viewed(4)]]
    found = best_candidates(Fixed(), batches, lambda i: truths[i], CPU)  # type: ignore[arg-type]
    # 24x16 against 32x16 has 3/4; against 16x16 it has 2/3
    torch.testing.assert_close(found, torch.tensor([1.0, 1.0, 0.75, 0.0, 1.0]))
