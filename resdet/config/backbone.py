"""Which network, and what it starts from."""

from __future__ import annotations

from dataclasses import dataclass

from resdet.config.checks import channels, one_of
from resdet.errors import UsageError


@dataclass(frozen=True)
class BackboneConfig:
    family: str = "imagenet"  # or "cifar": the thin nets of 6n + 2 layers for 32x32 images (Sec. 4.2)
    depth: int = 50
    shortcut: str = ""  # A, B, C, none (a plain net) or gated; empty: the paper's, B and for cifar A
    stem: str = "7x7"  # or "3x3", "3x3-pool" for small images
    stride_in: str = "1x1"  # the bottleneck's convolution that strides: the paper's; "3x3" is torchvision's
    width: int = 64  # channels of conv2_x, doubled at each later stage
    dilate_conv5: bool = False
    weights: str = ""  # what training starts from: a checkpoint, torchvision:NAME[=FILE], detectron2:NAME=FILE
    zero_init_residual: bool = False  # every block starts as the identity: learns faster at first; not in the paper
    new_classifier: bool = False  # leave the weights' own classifier out: the classes are others

    def __post_init__(self) -> None:
        one_of("model.backbone.family", self.family, ("imagenet", "cifar"))
        cifar = self.family == "cifar"
        depths = (20, 32, 44, 56, 110, 1202) if cifar else (18, 34, 50, 101, 152)
        one_of("model.backbone.depth", self.depth, depths)
        one_of("model.backbone.shortcut", self.shortcut or "B", ("A", "B", "C", "none", "gated"))
        channels("model.backbone", self, "width")
        one_of("model.backbone.stem", self.stem, ("7x7", "3x3", "3x3-pool"))
        one_of("model.backbone.stride_in", self.stride_in, ("1x1", "3x3"))
        for name, default in (("stem", "7x7"), ("stride_in", "1x1"), ("width", 64), ("dilate_conv5", False)):
            if cifar and getattr(self, name) != default:
                raise UsageError(f"model.backbone.{name} is a setting of the family imagenet: leave it out for cifar")
        if self.shortcut == "none" and self.zero_init_residual:
            raise UsageError("model.backbone.zero_init_residual would stop all signal in a plain net (shortcut none)")
