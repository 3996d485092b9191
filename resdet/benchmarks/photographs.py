"""Pictures to measure with: JPEG files of the user's, or noise of the size and weight of ImageNet's photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import torch
from torch import Tensor
from torch.nn import functional

from resdet.data.image import image_size
from resdet.data.image_files import find_images
from resdet.data.records import Classes, Record, Records, pack
from resdet.errors import InputError

DRAWN, WIDTH, HEIGHT, QUALITY = 32, 500, 375, 92


def photographs(folder: Path | None, work: Path) -> Records:
    """JPEGs of one class, a box in the middle of each, in ``work/jpeg`` for torchvision's ``ImageFolder`` too.

    Args:
        folder: where they are looked for, below too; None: they are drawn.
        work: an empty folder to link or draw them in.

    Raises:
        InputError: there are none in the folder.
    """
    place = work / "jpeg"
    place.mkdir()
    if folder is None:
        _draw(place)
    else:
        files = [file for file, _ in find_images([str(folder)]) if file.suffix.lower() in (".jpg", ".jpeg")]
        _link(files, folder, place)
    rows = []
    for file in sorted(place.iterdir()):
        width, height = image_size(file)
        box = (0.2 * width, 0.2 * height, 0.8 * width, 0.8 * height)
        rows.append(Record(f"jpeg/{file.name}", 0, [box], size=(width, height)))
    return pack(work, Classes(("jpeg",), ("jpeg",)), rows)


def _link(files: Sequence[Path], folder: Path, place: Path) -> None:
    if not files:
        raise InputError(f"{folder}: wanted JPEG files to measure with, there are none")
    for number, file in enumerate(files):
        (place / f"{number:06d}.jpg").symlink_to(file.resolve())


def _draw(place: Path) -> None:
    torch.manual_seed(0)
    for number in range(DRAWN):
        pixels = noise(WIDTH, HEIGHT)[0].permute(1, 2, 0).numpy()
        cv2.imwrite(str(place / f"{number:06d}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def noise(width: int, height: int) -> Tensor:
    """``(1, 3, height, width)`` uint8: noise of all scales, stronger the coarser, as photographs have it."""
    total = torch.full((1, 3, height, width), 128.0)
    for scale in (1, 2, 4, 8, 16, 32, 64):
        drawn = torch.randn(1, 3, height // scale + 2, width // scale + 2) * (9 + scale / 2)
        total += functional.interpolate(drawn, (height, width), mode="bicubic")
    return total.clamp(0, 255).to(torch.uint8)
