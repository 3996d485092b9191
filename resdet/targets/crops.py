"""What R-CNN's crops should say: which proposals of a whole batch are learnt from, and as what (App. C; R-CNN)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from resdet.structures import Target
from resdet.targets.matching import IGNORED
from resdet.targets.objects import pad_objects
from resdet.targets.regions import judge_regions
from resdet.targets.sampling import draw


@dataclass(frozen=True)
class CropSample:
    """S boxes to crop, of any of the batch's images."""

    image: Tensor  # (S,) int64: the place in the batch
    boxes: Tensor  # (S, 4)
    label: Tensor  # (S,) int64: 1 for an object of the image's class, 0 for background
    wanted: Tensor  # (S, 4): the box each should give; zeros for background


def sample_crops(
    boxes: Tensor,
    present: Tensor,
    targets: Sequence[Target],
    *,
    count: int,
    share: float,
    foreground: float,
    background: tuple[float, float],
) -> CropSample:
    """Draw from all proposals of a batch together, so that each image gives few: R-CNN's batches are of regions.

    A proposal is an object when it overlaps a box of its image's class by ``foreground`` or more, background when its
    largest overlap is in ``background``, from the first to below the second, and it does not lie in something that is
    ignored.  The true boxes themselves are among the proposals.

    Args:
        boxes: ``(B, N, 4)`` proposals.
        present: ``(B, N)`` bool: which are no padding.
        count: how many are drawn; fewer where the batch has no more.  Background fills up where objects are few.
        share: the largest one of objects among ``count``.
    """
    objects = pad_objects(targets, boxes.device, own_class=True)
    boxes, is_object, is_background, which = judge_regions(boxes, present, objects, foreground, background)
    index, taken = draw(is_object.view(1, -1), is_background.view(1, -1), count, share)
    index, label = index[0], taken[0]
    drawn = label != IGNORED  # the host waits here: an empty crop would count in batch norm's statistics
    index, label = index[drawn], label[drawn]
    image, place = index // boxes.shape[1], index % boxes.shape[1]
    wanted = objects.boxes[image, which[image, place]] * (label == 1)[:, None]
    return CropSample(image, boxes[image, place], label, wanted)
