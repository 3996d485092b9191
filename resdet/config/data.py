"""Where images come from, and how a training view of one is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

from resdet.config.checks import MOST_PIXELS, at_least, at_most, low_high, mean_and_std, one_of, share, workers
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
    pixel_mean: str = ""  # a file of datasets/color_statistics.py: a mean for every pixel of a size x size view, as in
    # the paper (Sec. 3.4, 4.2), in place of `mean`; for classification, and kept in its checkpoints

    def __post_init__(self) -> None:
        at_least("data", self, 1, "size", "resize")
        at_most("data.size", (self.size,), MOST_PIXELS)
        workers("data", self)
        mean_and_std(self.mean, self.std)


# ImageNet's, as fb.resnet.torch gives them (datasets/imagenet.lua, whose matrix has the vectors in its columns)
IMAGENET_PCA_VALUES = (0.2175, 0.0188, 0.0045)
IMAGENET_PCA_VECTORS = ((-0.5675, -0.5808, -0.5836), (0.7192, -0.0045, -0.6948), (0.4009, -0.8140, 0.4203))


@dataclass(frozen=True)
class AugmentConfig:
    """The training view of an image and its colours."""

    crop: str = "shorter_side"  # or "area": a random share of the image at a random aspect ratio; or "pad", CIFAR's
    shorter_side: tuple[int, ...] = (256, 480)  # Sec. 3.4, for a crop of 224; scales with data.size
    area: tuple[float, ...] = (0.08, 1.0)  # share of the image
    aspect: tuple[float, ...] = (0.75, 1.3333)  # width / height
    pad: int = 4  # "pad": pixels of data.mean around the image, which is drawn data.size wide, then cropped (Sec. 4.2)
    mirror: float = 0.5  # probability
    brightness: float = 0.0  # with contrast and saturation 0.4 in fb.resnet.torch; the paper has pca_lighting alone
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    color_probability: float = 0.8  # that an image gets the four above
    pca_lighting: float = 0.1  # AlexNet's colours, the "standard" ones of Sec. 3.4: deviation of the numbers drawn
    pca_values: tuple[float, ...] = IMAGENET_PCA_VALUES  # eigenvalues of the covariance of RGB in 0 .. 1
    pca_vectors: tuple[tuple[float, ...], ...] = IMAGENET_PCA_VECTORS  # the eigenvectors in that order: r, g, b of each
    keep_object: bool = True  # the crop is drawn again until it holds a box, where the image has boxes
    min_visible: float = 0.3  # a box of which less than this share is in the crop is dropped
    crop_tries: int = 10  # crops drawn until one holds a box; then the centre is taken
    clip_boxes: bool = True  # boxes end at the crop's edge; false: targets reach outside

    def __post_init__(self) -> None:
        one_of("augment.crop", self.crop, ("shorter_side", "area", "pad"))
        for name in ("shorter_side", "area", "aspect"):
            low_high(f"augment.{name}", getattr(self, name))
        if self.area[1] > 1:
            raise UsageError(f"augment.area are shares of the image, up to 1, got {self.area}")
        share("augment", self, "mirror", "color_probability", "min_visible")
        at_least("augment", self, 0, "brightness", "contrast", "saturation", "hue", "pad", "pca_lighting")
        if self.hue > 0.5:
            raise UsageError(f"augment.hue must be at most 0.5, half the circle of colours, got {self.hue}")
        at_least("augment", self, 1, "crop_tries")
        self._check_pca()

    def _check_pca(self) -> None:
        if len(self.pca_values) != 3 or not all(0 <= value < math.inf for value in self.pca_values):
            raise UsageError(f"augment.pca_values must be three values from 0, got {self.pca_values}")
        lengths = [math.hypot(*vector) for vector in self.pca_vectors if len(vector) == 3]
        if len(self.pca_vectors) != 3 or len(lengths) != 3 or not all(0.99 < length < 1.01 for length in lengths):
            raise UsageError(f"augment.pca_vectors must be three vectors of length 1, got {self.pca_vectors}")
