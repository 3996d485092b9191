"""Where images come from, and how a training view of one is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from resdet.config.checks import at_least, each_above_zero, low_high, one_of, share
from resdet.errors import UsageError


@dataclass(frozen=True)
class DataConfig:
    train: str = ""  # FORMAT:ROOT[:SPLIT]
    val: str = ""
    size: int = 224  # side of the training crop and of the 1-crop test, pixels
    resize: int = 256  # shorter side before the centre crop at test, pixels
    workers: int = 2  # loader processes; 0 loads in the training process
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)  # RGB in 0 .. 255, subtracted from every pixel
    std: tuple[float, ...] = (58.395, 57.12, 57.375)  # then divided by

    def __post_init__(self) -> None:
        at_least("data", self, 1, "size", "resize")
        at_least("data", self, 0, "workers")
        for name, values in (("data.mean", self.mean), ("data.std", self.std)):
            if len(values) != 3:
                raise UsageError(f"{name} must be three values, for red, green and blue, got {values}")
        each_above_zero("data.std", self.std)


@dataclass(frozen=True)
class AugmentConfig:
    """The training view of an image and its colours."""

    crop: str = "shorter_side"  # or "area": a random share of the image at a random aspect ratio
    shorter_side: tuple[int, ...] = (256, 480)  # Sec. 3.4, for a crop of 224; scales with data.size
    area: tuple[float, ...] = (0.08, 1.0)  # share of the image
    aspect: tuple[float, ...] = (0.75, 1.3333)  # width / height
    mirror: float = 0.5  # probability
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.0
    color_probability: float = 0.8
    keep_object: bool = True  # the crop is drawn again until it holds a box, where the image has boxes
    min_visible: float = 0.3  # a box of which less than this share is in the crop is dropped
    crop_tries: int = 10  # crops drawn until one holds a box; then the centre is taken
    clip_boxes: bool = True  # boxes end at the crop's edge; false: targets reach outside

    def __post_init__(self) -> None:
        one_of("augment.crop", self.crop, ("shorter_side", "area"))
        for name in ("shorter_side", "area", "aspect"):
            low_high(f"augment.{name}", getattr(self, name))
        if self.area[1] > 1:
            raise UsageError(f"augment.area are shares of the image, up to 1, got {self.area}")
        share("augment", self, "mirror", "color_probability", "min_visible")
        at_least("augment", self, 0, "brightness", "contrast", "saturation", "hue")
        if self.hue > 0.5:
            raise UsageError(f"augment.hue must be at most 0.5, half the circle of colours, got {self.hue}")
        at_least("augment", self, 1, "crop_tries")
