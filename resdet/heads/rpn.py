"""The region proposal network (Faster R-CNN, Sec. 3.1): at every anchor, is there an object, and where exactly?"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from resdet.convolution import Conv3x3
from resdet.precision import without_autocast


class RPN(nn.Module):
    """A 3x3 convolution with ReLU, or several, then two sibling 1x1 convolutions; N(0, 0.01) throughout.

    Faster R-CNN has two outputs an anchor and a softmax over them; one logistic output is the same function.

    Args:
        channels: of the feature map.
        neck: channels between the 3x3 convolution and the siblings.
        anchors: A, for each position.
        depth: 3x3 convolutions; one in the paper.
    """

    def __init__(self, channels: int, neck: int, anchors: int, depth: int = 1) -> None:
        super().__init__()
        self.neck = Conv3x3(channels, neck)
        self.deeper = nn.ModuleList(Conv3x3(neck, neck) for _ in range(depth - 1))
        self.cls = nn.Conv2d(neck, anchors, 1)
        self.reg = nn.Conv2d(neck, anchors * 4, 1)
        for conv in (self.neck, *self.deeper, self.cls, self.reg):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)

    def forward(self, feature: Tensor, inside: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(B, C, h, w)`` map -> logits ``(B, P)`` and deltas ``(B, P, 4)``, P = h * w * A anchors.

        They are in the order of :func:`~resdet.boxes.anchors.anchor_grid`.  The siblings run in their weights' type,
        float32, under autocast too: scores of 8 bits would tie by the hundred, and proposals are chosen by their order.

        Args:
            inside: ``(B, h, w)`` bool: cells that are not padding, which every convolution reads as 0; None: all.
        """
        hidden = feature
        for conv in (self.neck, *self.deeper):
            hidden = hidden if inside is None else hidden * inside[:, None]
            hidden = functional.relu(conv(hidden))
        with without_autocast(hidden):
            hidden = hidden.to(self.cls.weight.dtype)
            logits, deltas = self.cls(hidden), self.reg(hidden)
        return logits.permute(0, 2, 3, 1).flatten(1), deltas.permute(0, 2, 3, 1).unflatten(3, (-1, 4)).flatten(1, 3)
