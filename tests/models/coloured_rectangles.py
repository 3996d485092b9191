"""Images that a localizer can learn by heart, and what is in an image in few words."""

import torch

from resdet.structures import ImageBatch, Target


def target(label: int, *boxes: tuple[float, ...]) -> Target:
    """An image of a class, all of its boxes of that class."""
    return Target(label, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.full((len(boxes),), label))


def rectangles() -> ImageBatch:
    """Three images of one coloured rectangle each, a class a colour."""
    places = [(4, 6, 28, 30), (16, 2, 44, 18), (22, 20, 38, 46)]
    images = torch.randint(90, 130, (3, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for i, (x1, y1, x2, y2) in enumerate(places):
        images[i, :, y1:y2, x1:x2] = 20
        images[i, i, y1:y2, x1:x2] = 230
    return ImageBatch(images, tuple(target(i, place) for i, place in enumerate(places)))
