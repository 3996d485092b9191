"""VGG's localization, the baseline of Table 13: per-class regression (PCR), one box a class for a whole crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet import losses
from resdet.backbones import Backbone
from resdet.backbones.resnet import normalise
from resdet.boxes.coder import decode, encode
from resdet.heads.per_class_box import PerClassBox, window_features, window_grid
from resdet.models.localizer import Localizer
from resdet.structures import ImageBatch
from resdet.targets.dominant import dominant_boxes


@dataclass(frozen=True)
class PCRLoss:
    """Weights and thresholds of the losses; resdet/config has the same defaults, with their sources."""

    class_weight: float = 1.0
    box_weight: float = 1.0
    box_beta: float = 1.0 / 9.0
    label_smoothing: float = 0.0


class PCRLocalizer(nn.Module):
    """A backbone with its classifier, and one box for each class from the same pooled conv5.

    A larger image is seen as every crop of the training size that conv5's cells allow, side by side: fully
    convolutionally, as OverFeat and VGG test.  A box is learnt and answered relative to its crop.

    Args:
        backbone: its classifier ``fc`` is kept, so that one pass gives classes and boxes.
        head: reads ``bins * bins`` averages of each channel of conv5.
        size: side of a training crop, pixels: what a window of a larger image is.
        bins: parts along each side of a crop that are averaged apart.
        mean, std: RGB in 0 .. 255.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: Backbone,
        head: PerClassBox,
        *,
        size: int,
        bins: int,
        mean: Sequence[float],
        std: Sequence[float],
        loss: PCRLoss | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.bins = backbone, head, bins
        self.stride = backbone.strides["conv5"]
        self.side = -(-size // self.stride)  # cells of conv5 that a training crop has
        self.loss = loss or PCRLoss()
        if not self.loss.class_weight:  # no loss reaches it
            backbone.fc.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    def forward(self, batch: ImageBatch) -> dict[str, Tensor]:
        """Losses ``class`` (softmax of the classifier) and ``box`` (smooth L1), weighted; each image is one crop.

        Raises:
            ValueError: as :meth:`ImageBatch.labels_of`, :attr:`ImageBatch.of_one_size` and
                :func:`~resdet.structures.check_boxes`.
        """
        how, labels = self.loss, batch.labels_of(self.head.classes)
        maps = self.features(batch.of_one_size)
        conv5 = maps["conv5"]
        crop = (conv5.shape[2], conv5.shape[3])  # of whatever size: crops may grow in training
        hidden = self.head(window_features(conv5, crop, self.bins))  # (B, 1, neck)
        deltas = self.head.of_classes(hidden, labels[:, None])[:, 0, 0]  # (B, 4)
        boxes, present = dominant_boxes(batch.targets, conv5.device)
        wanted = encode(boxes, window_grid(*crop, crop, self.stride, conv5))
        found = {"box": how.box_weight * losses.smooth_l1(deltas, wanted, present, how.box_beta)}
        if how.class_weight:
            scores, smooth = self.class_logits(maps), how.label_smoothing
            found["class"] = how.class_weight * functional.cross_entropy(scores, labels, label_smoothing=smooth)
        return found

    def counted(self, batch: ImageBatch) -> dict[str, Tensor]:
        """How many images the loss ``box`` is divided by: those that have one."""
        return {"box": dominant_boxes(batch.targets, self.mean.device)[1].sum()}

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The backbone's maps of ``(B, 3, H, W)`` uint8 RGB."""
        return self.backbone.features(normalise(images, self.mean, self.std))

    def class_logits(self, maps: dict[str, Tensor]) -> Tensor:
        """``(B, K)`` float32 of the backbone's own classifier."""
        return self.backbone.classify(maps["conv5"]).float()

    def logits(self, images: Tensor) -> Tensor:
        """``(B, K)`` float32 class logits of ``(B, 3, H, W)`` uint8 RGB, as a classifier gives them."""
        return self.class_logits(self.features(images))

    @property
    def anchoring(self) -> tuple[object, ...]:
        """What the candidates' places depend on, see :attr:`resdet.models.localizer.Localizer.anchoring`."""
        return ("windows", self.stride, self.side)

    def boxes(self, maps: dict[str, Tensor], classes: Tensor) -> tuple[Tensor, Tensor]:
        """Every window's probability and box for the classes asked about; of a crop of the training size, one.

        Args:
            classes: ``(B, k)`` int64.

        Returns:
            scores ``(B, k, P)``, the classifier's probability of the class in each window, and boxes
            ``(B, k, P, 4)`` in pixels of the input, not clipped.
        """
        conv5 = maps["conv5"]
        height, width = conv5.shape[2], conv5.shape[3]
        window = (min(self.side, height), min(self.side, width))
        means = window_features(conv5, window, 1)  # (B, P, C)
        every = self.backbone.classify(means.flatten(0, 1)[:, :, None, None]).float().softmax(1)  # (B * P, K)
        scores = every.unflatten(0, means.shape[:2]).transpose(1, 2)  # (B, K, P)
        scores = scores.gather(1, classes[:, :, None].expand(-1, -1, scores.shape[2]))
        hidden = self.head(means if self.bins == 1 else window_features(conv5, window, self.bins))
        deltas = self.head.of_classes(hidden, classes)  # (B, k, P, 4)
        return scores, decode(deltas, window_grid(height, width, window, self.stride, conv5))


AnyLocalizer = Localizer | PCRLocalizer  # both give class logits, and scored boxes for each class
