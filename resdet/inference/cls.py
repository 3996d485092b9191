"""How a classifier is tested: on one crop, on ten, or fully convolutionally over several scales (Sec. 3.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from resdet.backbones.resnet import normalise
from resdet.data.viewed_images import ViewedImage
from resdet.data.views import centre, ten_crops, whole
from resdet.inference.stacking import same_size, stack
from resdet.models.classifier import Classifier
from resdet.models.pcr import AnyLocalizer
from resdet.precision import autocast
from resdet.predictions.loc import MAX_GUESSES
from resdet.structures import View

PROTOCOLS = ("1-crop", "10-crop", "dense")


@dataclass(frozen=True)
class ClsProtocol:
    """Which views of an image a classifier is shown, and how its scores on one become probabilities.

    The probabilities of an image's views count alike in their average.
    """

    name: str  # one of PROTOCOLS
    size: int  # side of a crop, pixels
    resize: int  # shorter side of the image before it is cropped
    scales: tuple[int, ...] = ()  # dense: shorter sides of the whole image
    mirror: bool = False  # dense: each scale's mirror image too; the ten crops always have theirs
    per_position: bool = False  # dense: average over positions after the softmax in place of before it

    def __post_init__(self) -> None:
        if self.name not in PROTOCOLS:
            raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {self.name!r}")

    def views(self, width: int, height: int) -> list[View]:
        """The views of an image of this size."""
        if self.name == "1-crop":
            return [centre(width, height, self.resize, self.size)]
        if self.name == "10-crop":
            return ten_crops(width, height, self.resize, self.size)
        mirrors = (False, True) if self.mirror else (False,)
        return [whole(width, height, scale, mirror) for scale in self.scales for mirror in mirrors]


@dataclass(frozen=True)
class Voter:
    """One of the classifiers whose probabilities are averaged."""

    model: Classifier | AnyLocalizer
    protocol: ClsProtocol  # its own
    label: Tensor  # (K,) int64: what it calls each label that is answered
    precision: str = "fp32"  # its own, whatever the others' is


@dataclass(frozen=True)
class Voters:
    """All of them, each with views of its own."""

    each: tuple[Voter, ...]

    def views(self, width: int, height: int) -> list[View]:
        """The views of all, one voter's after another's."""
        return [view for one in self.each for view in one.protocol.views(width, height)]

    def probabilities(self, batch: Sequence[ViewedImage], device: torch.device) -> Tensor:
        """``(N, K)`` float64 of images that are all readable, cut into :meth:`views`; the mean of what each says."""
        total: Tensor | None = None
        begins = [0] * len(batch)  # of each image, where the next voter's views are
        for one in self.each:
            ends = [b + len(one.protocol.views(i.width, i.height)) for b, i in zip(begins, batch, strict=True)]
            own = [
                image._replace(views=image.views[begin:end], pixels=image.pixels[begin:end])
                for image, begin, end in zip(batch, begins, ends, strict=True)
            ]
            begins = ends
            found = probabilities(one.model, [own], one.protocol, device, one.precision)[:, one.label]
            total = found if total is None else total + found
        assert total is not None  # there is a voter
        return total / len(self.each)


@torch.inference_mode()
def probabilities(
    model: Classifier | AnyLocalizer,
    batches: Iterable[Sequence[ViewedImage]],
    protocol: ClsProtocol,
    device: torch.device,
    precision: str = "fp32",
) -> Tensor:
    """The class probabilities of every image, averaged over its views.

    Args:
        batches: images cut into ``protocol.views``, all of them readable.

    Returns:
        ``(N, K)`` float64 in the order of ``batches``; a float32 softmax would tie the far-off classes at 0.
    """
    model.eval()
    parts = []
    for batch in batches:
        views = torch.zeros(len(batch), 1, dtype=torch.float64)
        total: Tensor | None = None
        for group in _parts(same_size(batch), len(batch)):
            with autocast(device, precision):
                found = _of_views(model, stack(batch, group, device), protocol)
            rows = torch.tensor([row for row, _ in group])
            total = found.new_zeros(len(batch), found.shape[1]) if total is None else total
            total.index_add_(0, rows, found)
            views.index_add_(0, rows, torch.ones(len(rows), 1, dtype=torch.float64))
        assert total is not None  # every image has a view
        parts.append(total / views)
    return torch.cat(parts)


def most_probable(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """The labels that are guessed and their probabilities, ``(B, k)`` of ``(B, K)``, best first."""
    top = probabilities.topk(min(MAX_GUESSES, probabilities.shape[1]), dim=1)
    return top.indices, top.values


def _parts(groups: list[list[tuple[int, int]]], most: int) -> Iterator[list[tuple[int, int]]]:
    """The groups in parts of at most ``most`` views: ten crops take no more memory than one."""
    for group in groups:
        for i in range(0, len(group), most):
            yield group[i : i + most]


def _of_views(model: Classifier | AnyLocalizer, pixels: Tensor, protocol: ClsProtocol) -> Tensor:
    """``(B, 3, H, W)`` uint8 -> ``(B, K)`` float64 probabilities, on the CPU."""
    if protocol.name == "dense" and protocol.per_position:
        return _of_positions(model, pixels, protocol.size).cpu()
    # global average pooling, then the linear layer: the average of the logits of all cells of the map
    return model.logits(pixels).cpu().double().softmax(1)


def _of_positions(model: Classifier | AnyLocalizer, pixels: Tensor, size: int) -> Tensor:
    """The mean over positions of what the classifier says at each.

    A position is a window of the map as large as a training crop's, 7x7 for 224 pixels, as pool5 of the released
    nets slides over a larger map; of a map that is smaller, all.
    """
    backbone = model.backbone
    cells = backbone.features(normalise(pixels, model.mean, model.std))["conv5"]
    side = -(-size // backbone.strides["conv5"])
    window = (min(side, cells.shape[2]), min(side, cells.shape[3]))
    means = functional.avg_pool2d(cells, window, stride=1)  # (B, C, h, w)
    positions = means.permute(0, 2, 3, 1).flatten(0, 2)[:, :, None, None]  # (B * h * w, C, 1, 1)
    return backbone.classify(positions).double().softmax(1).unflatten(0, (len(pixels), -1)).mean(1)
