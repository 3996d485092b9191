"""Faster R-CNN on a ResNet (App. A): maps once for the image, a vector for each of its regions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet.backbones import ResNet
from resdet.backbones.edges import covered, edges_repeated, images_end
from resdet.backbones.resnet import normalise
from resdet.boxes.anchors import anchor_shapes, anchors_in
from resdet.boxes.coder import REGION, decode
from resdet.boxes.geometry import clip
from resdet.devices import repeated, sent
from resdet.heads.c4 import C4
from resdet.heads.fpn import FPN
from resdet.heads.region import RegionHead
from resdet.heads.rpn import RPN
from resdet.models.detector_loss import DetectorLoss
from resdet.postprocess.detections import best_detections
from resdet.postprocess.proposals import ProposalRule, pad_proposals, select_proposals
from resdet.structures import Detections, ImageBatch, Proposals, check_sizes
from resdet.targets.objects import pad_objects

Sizes = Sequence[tuple[int, int]]  # width and height of each image in a batch, pixels
Maps = Sequence[Tensor]  # (B, C, h, w), one a level


class FasterRCNN(nn.Module):
    """Backbone, neck, region proposal network and region head.

    To save memory by :mod:`torch.utils.checkpoint`, checkpoint the whole of :meth:`features`: single layers of the
    backbone would be computed again without the edges of images of unequal sizes.

    Args:
        backbone: its classifier ``fc`` is not used and may be gone.
        neck: makes the maps that all regions share, and a vector of each region.
        rpn: reads the neck's maps.
        head: reads the neck's vectors.
        anchor_sizes: on each of the neck's levels; with the ratios, see :func:`~resdet.boxes.anchors.anchor_shapes`.
        anchor_offset: where in its cell an anchor's centre lies: 0.5 in the middle, 0 at the upper left corner.
        anchor_rounded: whole pixels for the anchors' sides, as in torchvision.
        mean, std: RGB in 0 .. 255.
        proposals: how testing proposes.
        freeze: stages of the backbone, from its beginning, that never learn; 2 is conv1 and conv2_x.

    """

    shapes: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: ResNet,
        neck: C4 | FPN,
        rpn: RPN,
        head: RegionHead,
        *,
        anchor_sizes: Sequence[Sequence[float]],
        anchor_ratios: Sequence[float],
        anchor_offset: float = 0.5,
        anchor_rounded: bool = False,
        mean: Sequence[float],
        std: Sequence[float],
        loss: DetectorLoss | None = None,
        proposals: ProposalRule | None = None,
        freeze: int = 0,
    ) -> None:
        super().__init__()
        self.backbone, self.neck, self.rpn, self.head = backbone, neck, rpn, head
        self.anchor_offset = anchor_offset
        self.loss, self.proposals = loss or DetectorLoss(), proposals or ProposalRule()
        self.learns = "both"
        shapes = [anchor_shapes(sizes, anchor_ratios, anchor_rounded) for sizes in anchor_sizes]
        self.register_buffer("shapes", torch.stack(shapes), persistent=False)  # (levels, A, 4)
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
        in_order: list[list[nn.Module]] = [[], [net.conv1, net.bn1], [net.layer1], [net.layer2], [net.layer3]]
        self.frozen = in_order[: stages + 1]
        for module in self._frozen_modules():
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> FasterRCNN:
        """As ``nn.Module.train``, but frozen stages stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def _frozen_modules(self) -> list[nn.Module]:
        return [module for stage in self.frozen for module in stage]

    def forward(self, batch: ImageBatch) -> dict[str, Tensor]:
        """Losses ``object`` and ``proposal`` of anchors, ``class`` and ``box`` of regions, weighted.

        Regions are drawn from the RPN's proposals, taken as constants (approximate joint training), or from the
        batch's where it has some; the RPN then runs only if it learns.

        Raises:
            ValueError: as :func:`~resdet.targets.objects.pad_objects`.
        """
        sizes = batch.full_sizes
        features = self.features(batch.images, sizes)
        objects = pad_objects(batch.targets, self.mean.device, self.head.classes)
        extent = self._extent(sizes)
        found: dict[str, Tensor] = {}
        proposals = pad_proposals(batch.proposals, self.mean.device) if batch.proposals else None
        rpn_learns, regions_learn = self.learns != "regions", self.learns != "rpn"
        if rpn_learns or proposals is None:
            logits, deltas, anchors, usable, levels = self._anchors_say(features, sizes)
            if rpn_learns:
                found |= self.loss.of_anchors(logits, deltas, anchors, usable, extent, objects)
            if regions_learn and proposals is None:
                logits, deltas = logits.detach(), deltas.detach()
                rule = self.loss.proposals
                proposals = select_proposals(logits, deltas, anchors, usable, extent, rule, levels, looks=False)
        if regions_learn and proposals is not None:
            sample = self.loss.sample(proposals.boxes, proposals.present, objects, self.head.classes)
            class_logits, moves = self.head(self.vectors(features, list(sample.boxes), sizes))
            found |= self.loss.of_regions(class_logits, moves, sample)
        return found

    def detect(
        self, images: Tensor, sizes: Sizes, score_threshold: float = 0.05, nms_iou: float = 0.3, most: int = 100
    ) -> list[Detections]:
        """What is in each of ``(B, 3, H, W)`` uint8 images, in their pixels; see ``best_detections``.

        Raises:
            ValueError: as :func:`~resdet.structures.check_sizes`.
        """
        check_sizes(images, sizes)
        features = self.features(images, sizes)
        boxes = [proposals.boxes for proposals in self.propose(features, sizes)]
        return best_detections(self.regions(features, boxes, sizes), score_threshold, nms_iou, most)

    def features(self, images: Tensor, sizes: Sizes) -> Maps:
        """The neck's maps of ``(B, 3, H, W)`` uint8 RGB, of each image as if it were alone in the batch.

        Where RoI align reads them, each image's last row and column are repeated once, beyond its edge.
        """
        height, width = (side + -side % self.neck.multiple for side in images.shape[-2:])
        images = functional.pad(images, (0, width - images.shape[3], 0, height - images.shape[2]))
        pixels = normalise(images, self.mean, self.std)
        if all(size == (width, height) for size in sizes):
            return self.neck.maps(self.backbone, pixels, None)
        pixels = pixels * covered(self._extent(sizes), height, width, 1)[:, None]
        seen = self._seen(sizes)
        with images_end(self.backbone, seen, height, width):
            maps = self.neck.maps(self.backbone, pixels, seen)
        if not self.neck.interpolates:
            return maps  # what the maximum of a bin finds beyond the edge is 0, as in a bin without a cell
        each = zip(maps, self._inside(maps, sizes), strict=True)
        return [m if inside is None else edges_repeated(m, inside) for m, inside in each]

    def propose(self, features: Maps, sizes: Sizes, rule: ProposalRule | None = None) -> list[Proposals]:
        """Each image's proposals, clipped to it, best first; ``rule`` is testing's unless another is given."""
        logits, deltas, anchors, usable, levels = self._anchors_say(features, sizes)
        rule = rule or self.proposals
        return select_proposals(logits, deltas, anchors, usable, self._extent(sizes), rule, levels).unpadded()

    def regions(self, features: Maps, boxes: Sequence[Tensor], sizes: Sizes) -> list[tuple[Tensor, Tensor]]:
        """Class probabilities of each region, and its box for every class.

        Args:
            boxes: ``(P, 4)`` of each image.

        Returns:
            Of each image, probabilities ``(P, K + 1)``, background last, and boxes ``(P, K, 4)`` clipped to it.
        """
        probabilities, deltas = self.siblings(self.vectors(features, boxes, sizes))
        counts = [len(b) for b in boxes]
        extent = repeated(sizes, counts, self.mean.device, torch.float32)  # (R, 2)
        moved = clip(decode(deltas, torch.cat(list(boxes))[:, None], REGION), extent[:, None])
        return list(zip(probabilities.split(counts), moved.split(counts), strict=True))

    def vectors(self, features: Maps, boxes: Sequence[Tensor], sizes: Sizes) -> Tensor:
        """``(R, C)`` what the siblings read: a vector for each region, image by image; with context ``(R, 2 C)``."""
        vectors = self.pooled(features, boxes, sizes)
        if not self.head.context:
            return vectors
        return self.with_context(vectors, self.context(features, sizes), boxes)

    def pooled(self, features: Maps, boxes: Sequence[Tensor], sizes: Sizes) -> Tensor:
        """``(R, C)`` float32: the neck's vector of every region."""
        image = repeated(range(len(boxes)), [len(b) for b in boxes], self.mean.device, torch.float32)
        rois = torch.cat((image[:, None], torch.cat(list(boxes))), 1)  # (R, 5)
        return self.neck.vectors(self.backbone, features, rois, self._ends(features, sizes))

    def context(self, features: Maps, sizes: Sizes) -> Tensor:
        """``(B, C)``: the neck's vector of each whole image, as one region (global context, App. B)."""
        extent = self._extent(sizes)
        return self.pooled(features, list(torch.cat((torch.zeros_like(extent), extent), 1)[:, None]), sizes)

    def with_context(self, vectors: Tensor, context: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """``(R, 2 C)``: each region's vector, followed by its image's."""
        image = repeated(range(len(boxes)), [len(b) for b in boxes], context.device, torch.int64)
        return torch.cat((vectors, context[image]), 1)

    def siblings(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities ``(R, K + 1)``, background last, and deltas ``(R, K, 4)``, float32."""
        logits, deltas = self.head(vectors)
        return logits.softmax(1), deltas

    def _anchors_say(self, features: Maps, sizes: Sizes) -> tuple[Tensor, Tensor, Tensor, Tensor, list[int]]:
        """The RPN's answers at every anchor, level after level, with the anchors.

        Returns:
            logits ``(B, P)``, deltas ``(B, P, 4)``, anchors ``(B, P, 4)``, which of them are on the image, not in the
            batch's padding, ``(B, P)`` bool, and how many each level has.
        """
        cells = self.neck.cells(self._seen(sizes))
        columns = []
        for feature, inside, cell, shapes in zip(
            features, self._inside(features, sizes), cells, self.shapes, strict=True
        ):
            height, width = feature.shape[-2:]
            anchors = anchors_in(shapes, height, width, cell, self.anchor_offset)
            logits, deltas = self.rpn(feature, inside)
            every = logits.new_ones(logits.shape, dtype=torch.bool)
            usable = every if inside is None else inside.flatten(1).repeat_interleave(len(shapes), 1)
            columns.append((logits, deltas, anchors, usable))
        counts = [column[0].shape[1] for column in columns]
        if len(columns) == 1:
            return *columns[0], counts
        logits, deltas, anchors, usable = (torch.cat(column, 1) for column in zip(*columns, strict=True))
        return logits, deltas, anchors, usable, counts

    def _inside(self, features: Maps, sizes: Sizes) -> list[Tensor | None]:
        """``(B, h, w)`` bool of each level: cells that have something of their image in them; None: all have."""
        multiple = self.neck.multiple
        least = [-(-min(sides) // multiple) * multiple for sides in zip(*sizes, strict=True)]  # width, height
        seen = self._seen(sizes)
        found: list[Tensor | None] = []
        for feature, stride in zip(features, self.neck.strides, strict=True):
            height, width = feature.shape[2:]
            full = (width - 1) * stride < least[0] and (height - 1) * stride < least[1]
            found.append(None if full else covered(seen, height, width, stride))
        return found

    def _ends(self, features: Maps, sizes: Sizes) -> list[Tensor | None]:
        """``(B, 2)`` of each level: width and height of each image's own map, cells; None where it is not needed.

        It is needed where images do not fill the level's map and RoI align goes by the older rule (``aligned`` false).
        """
        if self.neck.aligned or not self.neck.interpolates:
            return [None] * len(features)
        each = zip(self._inside(features, sizes), self.neck.strides, strict=True)
        return [None if inside is None else torch.ceil(self._seen(sizes) / stride) for inside, stride in each]

    def _seen(self, sizes: Sizes) -> Tensor:
        """``(B, 2)``: the images' sizes as the network sees them, filled up to the neck's multiple."""
        multiple = self.neck.multiple
        return torch.ceil(self._extent(sizes) / multiple) * multiple

    def _extent(self, sizes: Sizes) -> Tensor:
        """``(B, 2)`` float32 on the model's device."""
        return sent(sizes, self.mean.device, torch.float32).view(-1, 2)
