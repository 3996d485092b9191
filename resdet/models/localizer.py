"""Localization (App. C): one network that says what an image shows, and where for each class it is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet import losses
from resdet.backbones import Backbone
from resdet.backbones.resnet import normalise
from resdet.boxes.anchors import anchor_grid, anchor_shapes
from resdet.boxes.coder import decode, encode
from resdet.heads.per_class_rpn import PerClassRPN
from resdet.structures import ImageBatch
from resdet.targets.assign import AnchorSample, assign_anchors


@dataclass(frozen=True)
class LocalizerLoss:
    """Weights, thresholds and sampling of the losses; resdet/config has the same defaults, with their sources."""

    class_loss: str = "true"  # "true": the true class's logistic output; "all": every class's
    anchors_per_image: int = 8
    positive_iou: float = 0.7
    negative_iou: float = 0.3
    class_weight: float = 1.0
    object_weight: float = 1.0
    box_weight: float = 1.0
    box_beta: float = 1.0 / 9.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if self.class_loss not in ("true", "all"):
            raise ValueError(f"class_loss must be 'true' or 'all', got {self.class_loss!r}")


class Localizer(nn.Module):
    """A backbone with its classifier, and a per-class RPN on one of its maps.

    Args:
        backbone: its classifier ``fc`` is kept, so that one pass gives classes and boxes.
        rpn: reads the map ``feature``.
        feature: ``"conv4"`` or ``"conv5"``.
        anchor_sizes, anchor_ratios: see :func:`~resdet.boxes.anchors.anchor_shapes`.
        mean, std: RGB in 0 .. 255.
    """

    shapes: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: Backbone,
        rpn: PerClassRPN,
        *,
        feature: str,
        anchor_sizes: Sequence[float],
        anchor_ratios: Sequence[float],
        mean: Sequence[float],
        std: Sequence[float],
        loss: LocalizerLoss | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.rpn, self.feature = backbone, rpn, feature
        self.loss = loss or LocalizerLoss()
        if not self.loss.class_weight:  # no loss reaches them
            for module in (backbone.fc, *([backbone.layer4] if feature == "conv4" else [])):
                module.requires_grad_(False)
        self.register_buffer("shapes", anchor_shapes(anchor_sizes, anchor_ratios), persistent=False)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    def forward(self, batch: ImageBatch) -> dict[str, Tensor]:
        """Losses ``class`` (softmax of the classifier), ``object`` (logistic) and ``box`` (smooth L1), weighted.

        Raises:
            ValueError: as :meth:`ImageBatch.labels_of`, :attr:`ImageBatch.of_one_size` and
                :func:`~resdet.structures.check_boxes`.
        """
        how, labels = self.loss, batch.labels_of(self.rpn.classes)
        maps = self.features(batch.of_one_size)
        hidden = self.rpn(maps[self.feature])
        anchors = self.anchors(hidden)
        sample = self._sample(anchors, batch)
        logits, deltas = self.rpn.sampled(hidden, sample.index, labels)
        wanted = encode(sample.boxes, anchors[sample.index])
        found = {
            "object": how.object_weight * self._object_loss(hidden, logits, sample.index, sample.label, labels),
            "box": how.box_weight
            * losses.smooth_l1(deltas.flatten(0, 1), wanted.flatten(0, 1), (sample.label == 1).flatten(), how.box_beta),
        }
        if how.class_weight:
            scores = self.class_logits(maps)
            smooth = how.label_smoothing
            found["class"] = how.class_weight * functional.cross_entropy(scores, labels, label_smoothing=smooth)
        return found

    @torch.no_grad()
    def counted(self, batch: ImageBatch) -> dict[str, Tensor]:
        """How many anchors the losses ``object`` and ``box`` are divided by; which are drawn does not change it."""
        stride = self.backbone.strides[self.feature]
        height, width = (-(-side // stride) for side in batch.images.shape[-2:])
        label = self._sample(anchor_grid(self.shapes, height, width, stride), batch).label
        return {"object": (label >= 0).sum(), "box": (label == 1).sum()}

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The backbone's maps of ``(B, 3, H, W)`` uint8 RGB."""
        return self.backbone.features(normalise(images, self.mean, self.std))

    def class_logits(self, maps: dict[str, Tensor]) -> Tensor:
        """``(B, K)`` float32 of the backbone's own classifier."""
        return self.backbone.classify(maps["conv5"]).float()

    def logits(self, images: Tensor) -> Tensor:
        """``(B, K)`` float32 class logits of ``(B, 3, H, W)`` uint8 RGB, as a classifier gives them."""
        return self.class_logits(self.features(images))

    def boxes(self, maps: dict[str, Tensor], classes: Tensor) -> tuple[Tensor, Tensor]:
        """Every anchor's score and box for the classes asked about.

        Args:
            classes: ``(B, k)`` int64.

        Returns:
            scores ``(B, k, P)`` in [0, 1] and boxes ``(B, k, P, 4)`` in pixels of the input, not clipped.
        """
        hidden = self.rpn(maps[self.feature])
        logits, deltas = self.rpn.of_classes(hidden, classes)
        return logits.sigmoid(), decode(deltas, self.anchors(hidden))

    @property
    def anchoring(self) -> tuple[object, ...]:
        """What the candidates' places depend on: where it is equal, two localizers have the same candidates."""
        return (self.backbone.strides[self.feature], *map(tuple, self.shapes.tolist()))

    def anchors(self, hidden: Tensor) -> Tensor:
        """``(P, 4)`` anchors of a map."""
        height, width = hidden.shape[-2:]
        return anchor_grid(self.shapes, height, width, self.backbone.strides[self.feature])

    def _sample(self, anchors: Tensor, batch: ImageBatch) -> AnchorSample:
        how = self.loss
        return assign_anchors(anchors, batch.targets, how.anchors_per_image, how.positive_iou, how.negative_iou)

    def _object_loss(self, hidden: Tensor, logits: Tensor, index: Tensor, label: Tensor, classes: Tensor) -> Tensor:
        if self.loss.class_loss == "true":
            return losses.logistic(logits.flatten(), label.flatten())
        every = self.rpn.sampled_logits(hidden, index).flatten(0, 1)  # (B * S, K)
        wanted = functional.one_hot(classes, self.rpn.classes)[:, None] * label.clamp(min=0)[:, :, None]
        wanted = wanted.masked_fill((label < 0)[:, :, None], -1)
        return losses.logistic(every, wanted.flatten(0, 1))
