"""Detectors over batches of images, one or an ensemble, with Appendix B's improvements or without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from resdet.data.detection import padded
from resdet.data.viewed_images import ViewedImage
from resdet.data.views import whole
from resdet.devices import sent
from resdet.inference.pyramid import Scale, see
from resdet.inference.refine import WAYS, refined
from resdet.models.faster_rcnn import FasterRCNN
from resdet.postprocess.detections import Regions, all_finite, best_detections
from resdet.structures import Detections, Proposals, View


@dataclass(frozen=True)
class DetProtocol:
    """How a detector is tested (App. A and B); the number of proposals is set in the detector itself."""

    shorter: int = 600  # shorter side, pixels; proposals are made at this scale
    longer: int = 1000  # the longer side's most: the shorter one gives way
    score_threshold: float = 0.05
    nms_iou: float = 0.3
    max_detections: int = 100  # an image, over all classes
    refine: str = ""  # box refinement, one of `resdet.inference.refine.WAYS`; empty: none
    vote_iou: float | None = None  # box voting: what overlaps a detection by this or more moves it; None: nothing does
    scales: tuple[int, ...] = ()  # multi-scale testing: rising shorter sides to pool regions at; empty: `shorter` alone
    multiple: int = 32  # the sides of a padded batch are multiples of it, as in training

    def __post_init__(self) -> None:
        if self.refine and self.refine not in WAYS:
            raise ValueError(f"refine must be empty or one of {WAYS}, got {self.refine!r}")
        if list(self.scales) != sorted(set(self.scales)):
            raise ValueError(f"scales must rise, got {self.scales}")

    def views(self, width: int, height: int) -> list[View]:
        """The whole image once a scale: first that of the proposals, then those of the regions that differ from it.

        ``longer`` grows with the scale, so that every view is the first one enlarged or reduced.
        """
        shown = (self.shorter, *(side for side in self.scales if side != self.shorter))
        return [whole(width, height, s, longer_side=round(self.longer * s / self.shorter)) for s in shown]

    @property
    def pooled_views(self) -> list[int]:
        """Which of :meth:`views` regions are pooled from, smallest first."""
        others = [side for side in self.scales if side != self.shorter]
        return [0 if side == self.shorter else 1 + others.index(side) for side in self.scales or (self.shorter,)]


@dataclass(frozen=True)
class Detected:
    """A detector's answer for one image."""

    index: int
    width: int
    height: int
    detections: Detections  # on the CPU, best first, in pixels of the image and within it
    error: str | None = None  # the image could not be read: it has no size and no detections
    finite: bool = True  # false: a network has computed NaN or infinity, and the detections are what was left


@torch.inference_mode()
def detect(
    models: Sequence[FasterRCNN],
    batches: Iterable[Sequence[ViewedImage]],
    protocol: DetProtocol,
    device: torch.device,
    precision: str | Sequence[str] = "fp32",
    *,
    labels: Sequence[Tensor] | None = None,
) -> Iterator[Detected]:
    """Detect in every image, in order, whether or not it could be read.

    Args:
        models: one detector, or several that answer together (App. B, ensemble): each scores the proposals of all,
            and their probabilities and boxes are averaged.
        batches: images cut into ``protocol.views``.
        precision: of all models, or of each.
        labels: of each model ``(K,)`` int64, its own label of each class that is answered; None: they are the same.
    """
    labels_of = [None] * len(models) if labels is None else [own.to(device) for own in labels]
    precisions = [precision] * len(models) if isinstance(precision, str) else precision
    each = list(zip(models, labels_of, precisions, strict=True))
    for model in models:
        model.eval()
    for batch in batches:
        answers = {}
        for images in _alike([image for image in batch if image.error is None]):
            regions, finite = _regions(each, images, protocol, device)
            how = (protocol.score_threshold, protocol.nms_iou, protocol.max_detections, protocol.vote_iou)
            for image, (found, sound) in zip(images, _on_cpu(best_detections(regions, *how), finite), strict=True):
                answers[image.index] = Detected(image.index, image.width, image.height, found, finite=sound)
        for image in batch:
            yield answers.get(image.index) or _failed(image)


def _regions(
    each: Sequence[tuple[FasterRCNN, Tensor | None, str]],
    images: Sequence[ViewedImage],
    protocol: DetProtocol,
    device: torch.device,
) -> tuple[list[Regions], Tensor]:
    """What the models together say of every region of each image, in its pixels.

    Also ``(B,)`` bool: the images of which all that they say is finite.
    """
    scales = [_scale(images, view, protocol.multiple, device) for view in range(len(images[0].views))]
    sizes = sent([(image.width, image.height) for image in images], device, torch.float32)
    pooled = protocol.pooled_views
    pyramids = [see(model, labels, scales, pooled, sizes, precision) for model, labels, precision in each]

    def answer(boxes: Sequence[Tensor]) -> list[Regions]:
        return _averaged([pyramid.regions(boxes) for pyramid in pyramids])

    proposals = [pyramid.propose() for pyramid in pyramids]
    found = answer(_union(proposals))
    if protocol.refine:
        found = refined(answer, found, protocol.refine, protocol.score_threshold)
    return found, _all_finite(proposals, found)


def _all_finite(proposals: Sequence[Sequence[Proposals]], found: Sequence[Regions]) -> Tensor:
    """``(B,)`` bool, from each model's proposals and what all say of them: a map of NaN leaves no proposal to judge."""
    sound = all_finite(found)
    for of_model in proposals:
        looked = [one.finite for one in of_model if one.finite is not None]
        sound = sound & torch.stack(looked) if looked else sound
    return sound


def _union(proposals: Sequence[Sequence[Proposals]]) -> list[Tensor]:
    """All models' proposals for each image."""
    return [torch.cat([one.boxes for one in of_image]) for of_image in zip(*proposals, strict=True)]


def _averaged(answers: Sequence[Sequence[Regions]]) -> list[Regions]:
    """The mean of all models' answers for each image."""
    if len(answers) == 1:
        return list(answers[0])
    each = (zip(*of_image, strict=True) for of_image in zip(*answers, strict=True))
    return [(torch.stack(p).mean(0), torch.stack(boxes).mean(0)) for p, boxes in each]


def _alike(images: Sequence[ViewedImage]) -> list[list[ViewedImage]]:
    """Wide ones together and tall ones together: in one tensor, a wide beside a tall one is mostly padding."""
    wide = [image for image in images if image.width >= image.height]
    tall = [image for image in images if image.width < image.height]
    return [group for group in (wide, tall) if group]


def _scale(images: Sequence[ViewedImage], view: int, multiple: int, device: torch.device) -> Scale:
    pixels = padded([image.pixels[view] for image in images], multiple).to(device, non_blocking=True)
    return Scale(pixels, tuple((image.views[view].width, image.views[view].height) for image in images))


def _on_cpu(found: Sequence[Detections], finite: Tensor) -> list[tuple[Detections, bool]]:
    """Detections on the CPU, with whether each image's are finite: copied together, as the host waits for each copy."""
    counts = [len(one) for one in found]
    boxes, scores = (torch.cat([getattr(one, name) for one in found]).cpu() for name in ("boxes", "scores"))
    labels, sound = torch.cat([*(one.labels for one in found), finite.long()]).cpu().split((sum(counts), len(found)))
    each = zip(*(column.split(counts) for column in (boxes, scores, labels)), strict=True)
    return [(Detections(*of_image), bool(well)) for of_image, well in zip(each, sound, strict=True)]


def _failed(image: ViewedImage) -> Detected:
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    return Detected(image.index, 0, 0, nothing, image.error)
