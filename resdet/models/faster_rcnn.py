"""Faster R-CNN on a ResNet (App. A): conv1 .. conv4 once for the image, conv5 for each of its regions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from resdet import ops
from resdet.backbones import ResNet
from resdet.backbones.edges import covered, edges_repeated, images_end
from resdet.backbones.resnet import normalise
from resdet.boxes.anchors import anchor_grid, anchor_shapes
from resdet.boxes.coder import REGION, decode
from resdet.boxes.geometry import clip
from resdet.heads.region import RegionHead
from resdet.heads.rpn import RPN
from resdet.models.detector_loss import DetectorLoss
from resdet.postprocess.detections import best_detections
from resdet.postprocess.proposals import ProposalRule, pad_proposals, select_proposals
from resdet.structures import Detections, ImageBatch, Proposals
from resdet.targets.objects import pad_objects

Sizes = Sequence[tuple[int, int]]  # width and height of each image in a batch, pixels


class FasterRCNN(nn.Module):
    """Backbone, region proposal network and region head.

    Args:
        backbone: its classifier ``fc`` is not used and may be gone.
        rpn: reads conv4.
        head: reads conv5 of a region, averaged.
        anchor_sizes, anchor_ratios: see :func:`~resdet.boxes.anchors.anchor_shapes`.
        pool: ``"align"`` or ``"pool"``: how a region is cut out of conv4.
        pool_size: cells of what is cut out, along each side; conv5 halves it.
        mean, std: RGB in 0 .. 255.
        proposals: how testing proposes.
        freeze: stages of the backbone, from its beginning, that never learn; 2 is conv1 and conv2_x.

    ``learns`` may be set to ``"rpn"`` or ``"regions"``: the other half's losses are left out (alternating training).
    """

    shapes: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: ResNet,
        rpn: RPN,
        head: RegionHead,
        *,
        anchor_sizes: Sequence[float],
        anchor_ratios: Sequence[float],
        pool: str,
        pool_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        loss: DetectorLoss | None = None,
        proposals: ProposalRule | None = None,
        freeze: int = 0,
    ) -> None:
        super().__init__()
        self.backbone, self.rpn, self.head = backbone, rpn, head
        self.pool, self.pool_size, self.stride = pool, pool_size, backbone.strides["conv4"]
        self.loss, self.proposals = loss or DetectorLoss(), proposals or ProposalRule()
        self.learns = "both"
        self.register_buffer("shapes", anchor_shapes(anchor_sizes, anchor_ratios), persistent=False)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.freeze(freeze)

    def learn_only(self, part: str) -> None:
        """``"rpn"`` or ``"regions"``: the other one's losses are left out, its layers stay (alternating training)."""
        self.learns = part
        for module in {"rpn": (self.backbone.layer4, self.head), "regions": (self.rpn,)}[part]:
            module.requires_grad_(False)

    def freeze(self, stages: int) -> None:
        """The first so many stages of the backbone do not learn from now on, nor does their batch norm."""
        net = self.backbone
        self.frozen = [[], [net.conv1, net.bn1], [net.layer1], [net.layer2], [net.layer3]][: stages + 1]
        for module in self._frozen_modules():
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> FasterRCNN:
        """As ever, but frozen stages stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def _frozen_modules(self) -> list[nn.Module]:
        return [module for stage in self.frozen for module in stage]

    def forward(self, batch: ImageBatch) -> dict[str, Tensor]:
        """Losses ``object`` and ``proposal`` of anchors, ``class`` and ``box`` of regions, weighted.

        Regions are the RPN's own proposals, taken as constants (approximate joint training), or the batch's.
        """
        sizes = batch.full_sizes
        features = self.features(batch.images, sizes)
        objects = pad_objects(batch.targets, features.device)
        logits, deltas, anchors, usable = self._anchors_say(features, sizes)
        extent = self._extent(sizes)
        found: dict[str, Tensor] = {}
        if self.learns != "regions":
            found |= self.loss.of_anchors(logits, deltas, anchors, usable, extent, objects)
        if self.learns != "rpn":
            if batch.proposals:
                proposals = pad_proposals(batch.proposals, features.device)
            else:
                rule = self.loss.proposals
                proposals = select_proposals(logits.detach(), deltas.detach(), anchors, usable, extent, rule)
            sample = self.loss.sample(proposals.boxes, proposals.present, objects, self.head.classes)
            answers = self.head(self.vectors(features, list(sample.boxes), sizes))
            found |= self.loss.of_regions(*answers, sample)
        return found

    def detect(
        self, images: Tensor, sizes: Sizes, score_threshold: float = 0.05, nms_iou: float = 0.3, most: int = 100
    ) -> list[Detections]:
        """What is in each of ``(B, 3, H, W)`` uint8 images, in their pixels; see ``best_detections``."""
        features = self.features(images, sizes)
        boxes = [proposals.boxes for proposals in self.propose(features, sizes)]
        return best_detections(self.regions(features, boxes, sizes), score_threshold, nms_iou, most)

    def features(self, images: Tensor, sizes: Sizes) -> Tensor:
        """conv4 of ``(B, 3, H, W)`` uint8 RGB, of each image as if it were alone; its last cells are repeated once."""
        height, width = images.shape[-2:]
        pixels = normalise(images, self.mean, self.std)
        if all(size == (width, height) for size in sizes):
            return self.backbone.trunk(pixels)
        extent = self._extent(sizes)
        pixels = pixels * covered(extent, height, width, 1)[:, None]
        with images_end(self.backbone, extent, height, width):
            conv4 = self.backbone.trunk(pixels)
        return edges_repeated(conv4, self._inside(conv4, sizes))

    def propose(self, features: Tensor, sizes: Sizes, rule: ProposalRule | None = None) -> list[Proposals]:
        """Where there may be objects in each image, clipped to it, best first; by testing's rule or another."""
        answers = self._anchors_say(features, sizes)
        return select_proposals(*answers, self._extent(sizes), rule or self.proposals).unpadded()

    def regions(self, features: Tensor, boxes: Sequence[Tensor], sizes: Sizes) -> list[tuple[Tensor, Tensor]]:
        """What each region is, and where for every class.

        Args:
            boxes: ``(P, 4)`` of each image.

        Returns:
            Of each image, probabilities ``(P, K + 1)``, background last, and boxes ``(P, K, 4)`` clipped to it.
        """
        probabilities, deltas = self.siblings(self.vectors(features, boxes, sizes))
        counts = [len(b) for b in boxes]
        extent = self._extent(sizes).repeat_interleave(self._counts(boxes), 0, output_size=sum(counts))
        moved = clip(decode(deltas, torch.cat(list(boxes))[:, None], REGION), extent[:, None])
        return list(zip(probabilities.split(counts), moved.split(counts), strict=True))

    def vectors(self, features: Tensor, boxes: Sequence[Tensor], sizes: Sizes) -> Tensor:
        """``(R, C)`` what the siblings read of all regions, image by image; with the image's context ``(R, 2 C)``."""
        vectors = self.pooled(features, boxes)
        if not self.head.context:
            return vectors
        return self.with_context(vectors, self.context(features, sizes), boxes)

    def pooled(self, features: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """``(R, C)`` float32: conv5 of every region, averaged over its positions."""
        image = torch.arange(len(boxes), device=features.device)
        image = image.repeat_interleave(self._counts(boxes), output_size=sum(len(b) for b in boxes))
        rois = torch.cat((image[:, None].to(torch.float32), torch.cat(list(boxes))), 1)  # (R, 5)
        pool = ops.roi_align if self.pool == "align" else ops.roi_pool
        cut = pool(features, rois, self.pool_size, self.stride)
        return self.backbone.conv5(cut).mean((2, 3), dtype=torch.float32)

    def context(self, features: Tensor, sizes: Sizes) -> Tensor:
        """``(B, C)``: the same of the whole of each image (App. B)."""
        extent = self._extent(sizes)
        return self.pooled(features, list(torch.cat((torch.zeros_like(extent), extent), 1)[:, None]))

    def with_context(self, vectors: Tensor, context: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """``(R, 2 C)``: behind each region's vector its image's."""
        of_region = context.repeat_interleave(self._counts(boxes), 0, output_size=len(vectors))
        return torch.cat((vectors, of_region), 1)

    def siblings(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities ``(R, K + 1)``, background last, and deltas ``(R, K, 4)``, float32."""
        logits, deltas = self.head(vectors)
        return logits.softmax(1), deltas

    def _anchors_say(self, features: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The RPN's logits ``(B, P)`` and deltas ``(B, P, 4)``, the anchors ``(P, 4)``, and which are on the image."""
        inside = self._inside(features, sizes)  # (B, h, w)
        logits, deltas = self.rpn(features * inside[:, None])
        anchors = anchor_grid(self.shapes, *features.shape[-2:], self.stride)
        return logits, deltas, anchors, inside.flatten(1).repeat_interleave(len(self.shapes), 1)

    def _inside(self, features: Tensor, sizes: Sizes) -> Tensor:
        return covered(self._extent(sizes), *features.shape[-2:], self.stride)

    def _extent(self, sizes: Sizes) -> Tensor:
        """``(B, 2)`` float32 on the model's device."""
        return torch.tensor(sizes, dtype=torch.float32, device=self.mean.device)

    def _counts(self, boxes: Sequence[Tensor]) -> Tensor:
        return torch.tensor([len(b) for b in boxes], device=self.mean.device)
