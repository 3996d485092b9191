"""The detector on conv4 as torchvision's users would put it together, from its public parts, with our weights."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from resdet.build import Detector
from resdet.config import DetConfig

# how ours must be built to be the same network: what is torchvision's own way and no option there
SETTINGS = (
    "model.backbone.stride_in=3x3",
    "model.anchor_offset=0",
    "model.anchor_rounded=true",
    "model.inside_anchors=false",
    "model.pool_sampling=2",
    "model.pool_aligned=false",
    "model.min_side=0.001",
    "model.box_beta=0.1111111111111111",
    "test.min_side=0.001",
)


class _Trunk(nn.Module):
    """conv1 to conv4, the one map that everything is read from."""

    def __init__(self, net: torchvision.models.ResNet) -> None:
        super().__init__()
        self.body = nn.Sequential(
            net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3
        )  # fmt: skip
        self.out_channels = net.layer4[0].conv1.in_channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return OrderedDict({"0": self.body(images)})


def torchvision_detector(ours: Detector, config: DetConfig, norm: type[nn.Module]) -> TorchvisionFasterRCNN:
    """The same network as ``ours``, which is a ResNet on conv4 built with :data:`SETTINGS`. In evaluation mode.

    Args:
        norm: ``torchvision.ops.FrozenBatchNorm2d``, as in its own detectors that start from published weights, or
            ``nn.BatchNorm2d``, as in those that do not.
    """
    how, test = config.model, config.test
    net = getattr(torchvision.models, f"resnet{how.backbone.depth}")(norm_layer=norm)
    net.fc = nn.Identity()
    state = ours.backbone.state_dict()
    net.load_state_dict(state, strict=norm is nn.BatchNorm2d)  # a frozen one counts no batches
    for module in net.modules():
        if isinstance(module, torchvision.ops.FrozenBatchNorm2d):
            module.eps = 1e-5
    classes = ours.head.classes
    peer = TorchvisionFasterRCNN(
        _Trunk(net),
        min_size=config.data.shorter,
        max_size=config.data.longer,
        image_mean=[m / 255 for m in config.data.mean],
        image_std=[s / 255 for s in config.data.std],
        rpn_anchor_generator=AnchorGenerator((tuple(map(int, how.anchor_sizes)),), (how.anchor_ratios,)),
        rpn_pre_nms_top_n_train=how.pre_nms,
        rpn_post_nms_top_n_train=how.proposals,
        rpn_pre_nms_top_n_test=test.pre_nms,
        rpn_post_nms_top_n_test=test.proposals,
        rpn_batch_size_per_image=how.anchors_per_image,
        rpn_positive_fraction=how.anchor_positive,
        box_roi_pool=MultiScaleRoIAlign(["0"], how.pool_size, how.pool_sampling),
        box_head=nn.Sequential(net.layer4, nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        box_predictor=FastRCNNPredictor(ours.neck.vector_channels, classes + 1),
        box_score_thresh=test.score_threshold,
        box_nms_thresh=test.nms_iou,
        box_detections_per_img=test.max_detections,
        box_batch_size_per_image=how.regions_per_image,
        box_positive_fraction=how.region_positive,
    )
    _load_heads(peer, ours, len(how.anchor_sizes))
    return peer.to(ours.mean.device).eval()


@torch.no_grad()
def _load_heads(peer: TorchvisionFasterRCNN, ours: Detector, sizes: int) -> None:
    """Anchors of one size follow one another in ours, those of one shape in torchvision's; our background is the last
    class and has no box, torchvision's is the first and has one that nobody reads."""
    rpn, head = peer.rpn.head, peer.roi_heads.box_predictor
    rpn.conv[0][0].load_state_dict(ours.rpn.neck.state_dict())
    for kind in ("weight", "bias"):
        for theirs, mine in ((rpn.cls_logits, ours.rpn.cls), (rpn.bbox_pred, ours.rpn.reg)):
            by_size = getattr(mine, kind).unflatten(0, (sizes, ours.shapes.shape[1] // sizes, -1))
            getattr(theirs, kind).copy_(by_size.transpose(0, 1).flatten(0, 2))
        scores, boxes = (getattr(layer, kind) for layer in (ours.head.cls, ours.head.reg))
        getattr(head.cls_score, kind).copy_(torch.cat((scores[-1:], scores[:-1])))
        getattr(head.bbox_pred, kind).copy_(torch.cat((torch.zeros_like(boxes[:4]), boxes)))
