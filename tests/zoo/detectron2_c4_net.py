"""detectron2's Faster R-CNN on conv4, written down again from torch's and torchvision's parts, for one image at a time.

Its modules have the names that they have there, so that ``state_dict`` is a file of its model zoo.  What it does is
spelt out after detectron2's GeneralizedRCNN, RPN, Res5ROIHeads and FastRCNNOutputLayers under Base-RCNN-C4.yaml.
"""

import math

import torch
from torch import nn
from torch.nn.functional import max_pool2d, relu
from torchvision.ops import FrozenBatchNorm2d, batched_nms, nms, roi_align

MEAN = torch.tensor([103.53, 116.28, 123.675]).view(3, 1, 1)  # BGR
SIZES, RATIOS, STRIDE = (32, 64, 128, 256, 512), (0.5, 1.0, 2.0), 16
PRE_NMS, POST_NMS = 200, 40  # 6000 and 1000 there
LARGEST_SCALE = math.log(1000.0 / 16)


class Conv(nn.Conv2d):
    """A convolution with its norm inside it."""

    fitting = False  # the norm takes the statistics of what it is given
    gain = 1.0

    def __init__(self, inputs, outputs, kernel, stride=1, padding=0):
        super().__init__(inputs, outputs, kernel, stride, padding, bias=False)
        self.norm = FrozenBatchNorm2d(outputs)

    def forward(self, x):
        x = super().forward(x)
        if Conv.fitting:
            self.norm.running_mean.copy_(x.mean((0, 2, 3)))
            self.norm.running_var.copy_(x.var((0, 2, 3)) * torch.empty(x.shape[1]).uniform_(0.5, 2))
            self.norm.weight.uniform_(0.7 * self.gain, 1.3 * self.gain)
            self.norm.bias.normal_(std=0.2)
        return self.norm(x)


class Bottleneck(nn.Module):
    """Its stride is in the first 1x1."""

    def __init__(self, inputs, inner, outputs, stride):
        super().__init__()
        self.shortcut = Conv(inputs, outputs, 1, stride) if inputs != outputs else None
        self.conv1 = Conv(inputs, inner, 1, stride)
        self.conv2 = Conv(inner, inner, 3, padding=1)
        self.conv3 = Conv(inner, outputs, 1)

    def forward(self, x):
        y = self.conv3(relu(self.conv2(relu(self.conv1(x)))))
        return relu(y + (x if self.shortcut is None else self.shortcut(x)))


def stage(inputs, inner, outputs, count, stride):
    rest = [Bottleneck(outputs, inner, outputs, 1) for _ in range(count - 1)]
    return nn.Sequential(Bottleneck(inputs, inner, outputs, stride), *rest)


class FasterRCNNC4(nn.Module):
    """ResNet-50 of any width."""

    def __init__(self, width, classes, rpn_channels):
        super().__init__()
        w = width
        self.backbone = nn.ModuleDict(
            {
                "stem": nn.ModuleDict({"conv1": Conv(3, w, 7, 2, 3)}),
                "res2": stage(w, w, 4 * w, 3, 1),
                "res3": stage(4 * w, 2 * w, 8 * w, 4, 2),
                "res4": stage(8 * w, 4 * w, 16 * w, 6, 2),
            }
        )
        head = {
            "conv": nn.Conv2d(16 * w, rpn_channels, 3, padding=1),
            "objectness_logits": nn.Conv2d(rpn_channels, 15, 1),
            "anchor_deltas": nn.Conv2d(rpn_channels, 60, 1),
        }
        self.proposal_generator = nn.ModuleDict({"rpn_head": nn.ModuleDict(head)})
        predictor = {"cls_score": nn.Linear(32 * w, classes + 1), "bbox_pred": nn.Linear(32 * w, 4 * classes)}
        self.roi_heads = nn.ModuleDict(
            {"res5": stage(16 * w, 8 * w, 32 * w, 3, 2), "box_predictor": nn.ModuleDict(predictor)}
        )

    def features(self, image):
        """``(3, H, W)`` BGR in 0 .. 255 -> ``(1, C, h, w)``."""
        x = relu(self.backbone["stem"]["conv1"]((image - MEAN)[None]))
        x = max_pool2d(x, 3, 2, 1)
        return self.backbone["res4"](self.backbone["res3"](self.backbone["res2"](x)))

    def rpn(self, features):
        """Logits ``(h * w * 15,)`` and deltas ``(h * w * 15, 4)``."""
        head = self.proposal_generator["rpn_head"]
        hidden = relu(head["conv"](features))
        logits = head["objectness_logits"](hidden).permute(0, 2, 3, 1).flatten()
        deltas = head["anchor_deltas"](hidden)
        deltas = deltas.view(1, 15, 4, *deltas.shape[-2:]).permute(0, 3, 4, 1, 2).reshape(-1, 4)
        return logits, deltas

    def proposals(self, features, height, width):
        """``(40, 4)`` at most, best first."""
        logits, deltas = self.rpn(features)
        boxes = moved(anchors(*features.shape[-2:]), deltas, (1.0, 1.0, 1.0, 1.0))
        logits, best = logits.topk(min(PRE_NMS, len(logits)))
        boxes = clipped(boxes[best], height, width)
        full = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, logits = boxes[full], logits[full]
        return boxes[nms(boxes, logits, 0.7)[:POST_NMS]]

    def vectors(self, features, boxes):
        rois = torch.cat((torch.zeros(len(boxes), 1), boxes), 1)
        cut = roi_align(features, rois, (14, 14), 1 / STRIDE, sampling_ratio=0, aligned=True)
        return self.roi_heads["res5"](cut).mean((2, 3))

    def detect(self, image):
        """boxes, scores and labels of an image, the best hundred."""
        height, width = image.shape[1:]
        features = self.features(image)
        regions = self.proposals(features, height, width)
        vectors = self.vectors(features, regions)
        predictor = self.roi_heads["box_predictor"]
        scores = predictor["cls_score"](vectors).softmax(1)[:, :-1]
        deltas = predictor["bbox_pred"](vectors)
        classes = scores.shape[1]
        every = moved(regions.repeat_interleave(classes, 0), deltas.view(-1, 4), (10.0, 10.0, 5.0, 5.0))
        every = clipped(every, height, width).view(-1, classes, 4)
        which = scores > 0.05
        boxes, scores, labels = every[which], scores[which], which.nonzero()[:, 1]
        kept = batched_nms(boxes, scores, labels, 0.5)[:100]
        return boxes[kept], scores[kept], labels[kept]


def anchors(height, width):
    """``(height * width * 15, 4)``: around the corners of the cells, whose first is at 0."""
    cell = []
    for size in SIZES:
        for ratio in RATIOS:
            w = math.sqrt(size**2 / ratio)
            h = ratio * w
            cell.append((-w / 2, -h / 2, w / 2, h / 2))
    cell = torch.tensor(cell)
    rows = []
    for y in range(height):
        for x in range(width):
            rows.append(cell + torch.tensor([x, y, x, y]) * float(STRIDE))
    return torch.cat(rows)


def moved(boxes, deltas, weights):
    """Box2BoxTransform.apply_deltas."""
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    x, y = boxes[:, 0] + 0.5 * widths, boxes[:, 1] + 0.5 * heights
    dx, dy, dw, dh = (deltas[:, i] / weights[i] for i in range(4))
    x, y = dx * widths + x, dy * heights + y
    w = dw.clamp(max=LARGEST_SCALE).exp() * widths
    h = dh.clamp(max=LARGEST_SCALE).exp() * heights
    return torch.stack((x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h), 1)


def clipped(boxes, height, width):
    x1, y1, x2, y2 = boxes.unbind(1)
    return torch.stack((x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)), 1)


@torch.no_grad()
def made_alive(net, image):
    """Norms that fit the maps of an image, then disturbed; heads whose answers spread."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    for module in net.modules():
        if isinstance(module, Bottleneck):
            module.conv3.gain = 0.2  # as in trained nets; else rounding grows from block to block
    Conv.fitting = True
    features = net.features(image)
    draw = torch.rand(40, 2) * 60
    net.vectors(features, torch.cat((draw, draw + 20 + torch.rand(40, 2) * 50), 1))
    Conv.fitting = False
    features = net.features(image)
    head = net.proposal_generator["rpn_head"]
    hidden = relu(head["conv"](features))
    for layer, spread in ((head["objectness_logits"], 2.0), (head["anchor_deltas"], 0.3)):
        layer.weight.mul_(spread / layer(hidden).std())
    vectors = net.vectors(features, net.proposals(features, *image.shape[1:]))
    for layer, spread in zip(net.roi_heads["box_predictor"].values(), (2.5, 1.0), strict=True):
        layer.weight.mul_(spread / layer(vectors).std(0).mean())
        layer.bias.copy_(-layer.weight @ vectors.mean(0))
