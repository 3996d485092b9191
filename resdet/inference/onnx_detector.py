"""A detector as one function of the pixels whose outputs have fixed lengths, for ONNX."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from resdet.backbones.resnet import normalise
from resdet.boxes.anchors import anchors_in
from resdet.boxes.coder import REGION, decode
from resdet.boxes.geometry import area, clip
from resdet.inference.onnx_operators import kept_of_each
from resdet.models.faster_rcnn import FasterRCNN

OUT = float("-inf")  # the score of what takes no part


class Objects(nn.Module):
    """uint8 RGB pixels to what :meth:`FasterRCNN.detect` finds in them, padded to the most that there may be.

    Args:
        score_threshold, nms_iou, most: see :func:`resdet.postprocess.detections.best_detections`.
    """

    outputs = ("boxes", "scores", "labels", "counts")

    def __init__(self, model: FasterRCNN, score_threshold: float = 0.05, nms_iou: float = 0.3, most: int = 100) -> None:
        super().__init__()
        self.model, self.score_threshold, self.nms_iou = model, score_threshold, nms_iou
        self.most = min(most, model.proposals.kept * model.head.classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``(B, 3, H, W)`` uint8 images of one size, at the scale that the detector is tested at.

        Returns:
            Best first, boxes ``(B, D, 4)`` in pixels of the input and within it, scores ``(B, D)`` in [0, 1], labels
            ``(B, D)`` int64, and how many there are of each image, ``(B,)`` int64: behind them boxes and scores are 0
            and labels -1.
        """
        extent = torch.cat(
            [torch.full((1, 1), side, dtype=torch.float32) for side in (images.shape[3], images.shape[2])], 1
        )
        maps = self._maps(images)
        proposals, present = self._propose(maps, extent)
        probabilities, boxes = self._judge(maps, proposals, extent)
        return self._best(probabilities[..., :-1], boxes, present)

    def _maps(self, images: Tensor) -> Sequence[Tensor]:
        """The neck's, of images filled up to its multiple with the mean colour, which to the network is 0."""
        model, multiple = self.model, self.model.neck.multiple
        pixels = normalise(images, model.mean, model.std)
        if multiple > 1:
            pixels = functional.pad(pixels, (0, -images.shape[3] % multiple, 0, -images.shape[2] % multiple))
        return model.neck.maps(model.backbone, pixels, None)

    def _propose(self, maps: Sequence[Tensor], extent: Tensor) -> tuple[Tensor, Tensor]:
        """As :func:`~resdet.postprocess.proposals.select_proposals`: ``(B, N, 4)``, and which are there ``(B, N)``."""
        neck, most = self.model.neck, self.model.proposals.kept
        cells = neck.cells(torch.ceil(extent / neck.multiple) * neck.multiple)
        levels = [self._of_level(*level, extent) for level in zip(maps, self.model.shapes, cells, strict=True)]
        scores, boxes = (torch.cat(column, 1) for column in zip(*levels, strict=True))
        missing = max(0, most - self.model.proposals.pre_nms * len(levels))
        score, place = functional.pad(scores, (0, missing), value=OUT).topk(most, 1)
        present = score > OUT
        return _rows(functional.pad(boxes, (0, 0, 0, missing)), place) * present[:, :, None], present

    def _of_level(self, feature: Tensor, shapes: Tensor, cell: Tensor, extent: Tensor) -> tuple[Tensor, Tensor]:
        """The best anchors of a map, moved: ``(B, n)`` logits, minus infinity where suppressed, boxes ``(B, n, 4)``."""
        rule = self.model.proposals
        anchors = anchors_in(shapes, feature.shape[2], feature.shape[3], cell, self.model.anchor_offset)
        logits, deltas = self.model.rpn(feature)
        # topk wants as many as it is to find, and how many anchors there are is not known
        score, place = functional.pad(logits, (0, rule.pre_nms), value=OUT).topk(rule.pre_nms, 1)
        place = place.clamp(max=deltas.shape[1] - 1)
        boxes = clip(decode(_rows(deltas, place), _rows(anchors.expand_as(deltas), place)), extent)
        sides = boxes[..., 2:] - boxes[..., :2]
        score = torch.where(((sides >= rule.min_side) & (sides > 0)).all(-1), score, OUT)
        kept = kept_of_each(boxes, score, rule.nms_iou, rule.kept)
        return torch.where(kept > 0, score, OUT), boxes

    def _judge(self, maps: Sequence[Tensor], proposals: Tensor, extent: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`FasterRCNN.regions`: probabilities ``(B, N, K + 1)`` and boxes ``(B, N, K, 4)``."""
        model, (batch, count) = self.model, proposals.shape[:2]
        vectors = self._vectors(maps, proposals)
        if model.head.context:
            whole = torch.cat((torch.zeros_like(extent), extent), 1).expand(batch, 1, 4)
            vectors = torch.cat((vectors, self._vectors(maps, whole).repeat_interleave(count, 0)), 1)
        probabilities, deltas = (answer.unflatten(0, (batch, count)) for answer in model.siblings(vectors))
        return probabilities, clip(decode(deltas, proposals[:, :, None], REGION), extent)

    def _vectors(self, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """``(B * N, C)`` of ``(B, N, 4)``."""
        image = torch.arange(boxes.shape[0], dtype=boxes.dtype)[:, None, None].expand(-1, boxes.shape[1], 1)
        return self.model.neck.vectors(self.model.backbone, maps, torch.cat((image, boxes), 2).flatten(0, 1))

    def _best(self, scores: Tensor, boxes: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As ``best_detections``, from scores ``(B, N, K)`` and boxes ``(B, N, K, 4)``."""
        batch, count, classes = scores.shape
        sides = area(boxes)
        good = (scores > self.score_threshold) & (sides > 0) & (sides < float("inf")) & present[:, :, None]
        scores = torch.where(good, scores, OUT)
        by_class = boxes.transpose(1, 2).reshape(-1, count, 4), scores.transpose(1, 2).reshape(-1, count)
        kept = kept_of_each(*by_class, self.nms_iou, self.most).view(batch, classes, count).transpose(1, 2)
        scores, place = torch.where(kept > 0, scores, OUT).flatten(1).topk(self.most, 1)
        found = scores > OUT
        chosen = _rows(boxes.flatten(1, 2), place) * found[:, :, None]
        return chosen, torch.where(found, scores, 0.0), torch.where(found, place % classes, -1), found.sum(1)


def _rows(table: Tensor, places: Tensor) -> Tensor:
    """``(B, N, 4)`` and ``(B, n)`` -> ``(B, n, 4)``."""
    return table.gather(1, places[:, :, None].expand(-1, -1, 4))
