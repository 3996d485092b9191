"""R-CNN for localization (App. C): a box is cut out of the image, warped, and classified as an image of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet import losses
from resdet.backbones import Backbone
from resdet.backbones.edges import covered
from resdet.backbones.resnet import normalise
from resdet.boxes.coder import REGION, decode, encode
from resdet.boxes.geometry import grown
from resdet.devices import sent
from resdet.heads.per_class_siblings import PerClassSiblings
from resdet.ops import roi_align
from resdet.postprocess.proposals import pad_proposals
from resdet.structures import ImageBatch
from resdet.targets.crops import CropSample, sample_crops

CROPS_AT_ONCE = 256  # in testing: as many as a batch has in training


@dataclass(frozen=True)
class RCNNLoss:
    """Weights and thresholds of the losses; resdet/config has the same defaults, with their sources."""

    class_loss: str = "true"  # "true": the true class's logistic output; "all": every class's
    crops_per_image: int = 1
    object_share: float = 0.25
    foreground_iou: float = 0.5
    background_iou: tuple[float, float] = (0.0, 0.5)
    object_weight: float = 1.0
    box_weight: float = 1.0
    box_beta: float = 1.0

    def __post_init__(self) -> None:
        if self.class_loss not in ("true", "all"):
            raise ValueError(f"class_loss must be 'true' or 'all', got {self.class_loss!r}")


class RCNN(nn.Module):
    """A backbone that sees one warped box at a time, and two per-class siblings on its averaged conv5.

    Args:
        backbone: its own classifier ``fc`` is not used.
        siblings: read a crop's vector.
        size: side of the warped crop, pixels.
        pad: pixels of the crop, on each side, that show what is around the box (R-CNN: 16 of 227).
        mean, std: RGB in 0 .. 255.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: Backbone,
        siblings: PerClassSiblings,
        *,
        size: int,
        pad: float,
        mean: Sequence[float],
        std: Sequence[float],
        loss: RCNNLoss | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= 2 * pad < size:
            raise ValueError(f"pad must leave something of a crop of {size} pixels to the box, got {pad}")
        self.backbone, self.siblings, self.size, self.pad = backbone, siblings, size, pad
        self.backbone.fc.requires_grad_(False)
        self.loss = loss or RCNNLoss()
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    def forward(self, batch: ImageBatch) -> dict[str, Tensor]:
        """Losses ``object`` (logistic) and ``box`` (smooth L1) of crops drawn from ``batch.proposals``, weighted.

        Raises:
            ValueError: as :meth:`ImageBatch.labels_of`, or a box or proposal as :func:`~resdet.structures.check_boxes`.
        """
        how, labels = self.loss, batch.labels_of(self.siblings.classes)
        pixels = self.pixels(batch.images, batch.full_sizes)
        sample = self._sample(batch, pixels.device)
        rois = torch.cat((sample.image[:, None].to(sample.boxes.dtype), sample.boxes), 1)
        vectors = self.vectors(self.crops(pixels, rois))
        classes = labels.to(pixels.device)[sample.image]
        logits, deltas = self.siblings.of_class(vectors, classes)
        wanted = encode(sample.wanted, sample.boxes, REGION)
        boxes = losses.smooth_l1(deltas, wanted, sample.label == 1, how.box_beta)
        return {
            "object": how.object_weight * self._object_loss(vectors, logits, sample, classes),
            "box": how.box_weight * boxes,
        }

    @torch.no_grad()
    def counted(self, batch: ImageBatch) -> dict[str, Tensor]:
        """How many crops the losses ``object`` and ``box`` are divided by; which are drawn does not change it."""
        label = self._sample(batch, self.mean.device).label
        return {"object": (label >= 0).sum(), "box": (label == 1).sum()}

    def pixels(self, images: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """What crops are cut from: ``(B, 3, H, W)`` uint8 normalised, 0 (the mean colour) beyond each image's edge."""
        pixels = normalise(images, self.mean, self.std)
        height, width = images.shape[-2:]
        if all(size == (width, height) for size in sizes):
            return pixels
        extent = sent(sizes, pixels.device, torch.float32)
        return pixels * covered(extent, height, width, 1)[:, None]

    def crops(self, pixels: Tensor, rois: Tensor) -> Tensor:
        """Boxes with some of what is around them, each stretched to ``size x size``: ``(R, 3, size, size)``.

        RoI align on the image itself: where a box shrinks, a pixel of the crop is the mean of what it covers.

        Args:
            pixels: of :meth:`pixels`.
            rois: ``(R, 5)`` rows of image, x1, y1, x2, y2 in its pixels.
        """
        boxes = grown(rois[:, 1:], self.size / (self.size - 2 * self.pad))
        return roi_align(pixels, torch.cat((rois[:, :1], boxes), 1), self.size, stride=1)

    def vectors(self, crops: Tensor) -> Tensor:
        """``(R, C)`` float32: conv5 of each crop, averaged over its positions."""
        return self.backbone.features(crops)["conv5"].mean((2, 3), dtype=torch.float32)

    def judge(self, images: Tensor, boxes: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Score each box of one image for each class asked about, and regress it to that class's object.

        Args:
            images: ``(1, 3, H, W)`` uint8.
            boxes: ``(R, 4)`` in its pixels.
            classes: ``(k,)`` int64.

        Returns:
            logits ``(R, k)`` and boxes ``(R, k, 4)``, not clipped, float32.
        """
        pixels = self.pixels(images, [(images.shape[3], images.shape[2])])
        rois = torch.cat((boxes.new_zeros(len(boxes), 1), boxes), 1)
        vectors = [self.vectors(self.crops(pixels, some)) for some in rois.split(CROPS_AT_ONCE)]
        logits, deltas = self.siblings.of_classes(torch.cat(vectors), classes)
        return logits, decode(deltas, boxes[:, None], REGION)

    def _sample(self, batch: ImageBatch, device: torch.device) -> CropSample:
        proposals = pad_proposals(batch.proposals, device)
        how = self.loss
        return sample_crops(
            proposals.boxes,
            proposals.present,
            batch.targets,
            count=how.crops_per_image * len(batch),
            share=how.object_share,
            foreground=how.foreground_iou,
            background=how.background_iou,
        )

    def _object_loss(self, vectors: Tensor, logits: Tensor, sample: CropSample, classes: Tensor) -> Tensor:
        if self.loss.class_loss == "true":
            return losses.logistic(logits, sample.label)
        every, _ = self.siblings.all_classes(vectors)
        wanted = functional.one_hot(classes, self.siblings.classes) * sample.label[:, None]
        return losses.logistic(every, wanted)
