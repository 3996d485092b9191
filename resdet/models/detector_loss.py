"""How a detector learns: what it says of sampled anchors and regions against what they should say."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from resdet import losses
from resdet.boxes.coder import REGION, encode
from resdet.postprocess.proposals import ProposalRule
from resdet.targets.objects import Objects
from resdet.targets.regions import RegionSample, sample_regions
from resdet.targets.rpn import assign_rpn


@dataclass(frozen=True)
class DetectorLoss:
    """Weights, thresholds and sampling of the losses; resdet/config has the same defaults, with their sources."""

    proposals: ProposalRule = field(default_factory=lambda: ProposalRule(pre_nms=12000, kept=2000))
    anchors_per_image: int = 256
    anchor_positive: float = 0.5
    positive_iou: float = 0.7
    negative_iou: float = 0.3
    inside_anchors: bool = True
    regions_per_image: int = 64
    region_positive: float = 0.25
    foreground_iou: float = 0.5
    background_iou: tuple[float, float] = (0.0, 0.5)
    object_weight: float = 1.0
    proposal_weight: float = 1.0
    class_weight: float = 1.0
    box_weight: float = 1.0
    proposal_beta: float = 1.0 / 9.0
    box_beta: float = 1.0

    def of_anchors(
        self, logits: Tensor, deltas: Tensor, anchors: Tensor, usable: Tensor, extent: Tensor, objects: Objects
    ) -> dict[str, Tensor]:
        """Losses ``object`` and ``proposal`` of a sample of the anchors.

        Args:
            logits, deltas: ``(B, P)`` and ``(B, P, 4)``.
            anchors: ``(B, P, 4)``.
            usable: ``(B, P)`` bool: which are not in the padding.
            extent: ``(B, 2)`` width and height of each image.
        """
        if self.inside_anchors:
            usable = usable & (anchors[..., :2] >= 0).all(-1) & (anchors[..., 2:] <= extent[:, None]).all(-1)
        sample = assign_rpn(
            anchors,
            usable,
            objects,
            count=self.anchors_per_image,
            share=self.anchor_positive,
            positive=self.positive_iou,
            negative=self.negative_iou,
        )
        index, label = sample.index, sample.label
        rows = index[:, :, None].expand(-1, -1, 4)
        found = deltas.gather(1, rows)
        wanted = encode(sample.boxes, anchors.gather(1, rows))
        boxes = losses.sampled_smooth_l1(found, wanted, label == 1, label >= 0, self.proposal_beta)
        return {
            "object": self.object_weight * losses.sampled_logistic(logits.gather(1, index), label),
            "proposal": self.proposal_weight * boxes,
        }

    def sample(self, boxes: Tensor, present: Tensor, objects: Objects, classes: int) -> RegionSample:
        """The regions to learn from, of ``(B, N, 4)`` proposals of which ``(B, N)`` are present."""
        return sample_regions(
            boxes,
            present,
            objects,
            classes=classes,
            count=self.regions_per_image,
            share=self.region_positive,
            foreground=self.foreground_iou,
            background=self.background_iou,
        )

    def of_regions(self, logits: Tensor, deltas: Tensor, sample: RegionSample) -> dict[str, Tensor]:
        """Losses ``class`` and ``box`` of sampled regions.

        Args:
            logits, deltas: ``(B * S, K + 1)`` and ``(B * S, K, 4)``.
        """
        label, classes = sample.label, deltas.shape[1]
        row = label.flatten().clamp(0, classes - 1)[:, None, None]  # background has no box; its row is not counted
        found = deltas.gather(1, row.expand(-1, -1, 4)).view_as(sample.wanted)
        wanted = encode(sample.wanted, sample.boxes, REGION)
        is_object = (label >= 0) & (label < classes)
        boxes = losses.sampled_smooth_l1(found, wanted, is_object, label >= 0, self.box_beta)
        return {
            "class": self.class_weight * losses.sampled_softmax(logits.view(*label.shape, -1), label),
            "box": self.box_weight * boxes,
        }
