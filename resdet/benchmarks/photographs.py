"""JPEG files to measure loading with: somebody's, or drawn ones of the size and weight of ImageNet's photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

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
        _link(
            [file for file, _ in find_images([str(folder)]) if file.suffix.lower() in (".jpg", ".jpeg")], folder, place
        )
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
    """Noise of all scales, stronger the coarser it is, as photographs have it."""
    rng = np.random.default_rng(0)
    for number in range(DRAWN):
        total = np.full((HEIGHT, WIDTH, 3), 128, np.float32)
        for scale in (1, 2, 4, 8, 16, 32, 64):
            size = (HEIGHT // scale + 2, WIDTH // scale + 2, 3)
            noise = rng.normal(0, 9 + scale / 2, size).astype(np.float32)
            total += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        pixels = np.clip(total, 0, 255).astype(np.uint8)
        cv2.imwrite(str(place / f"{number:06d}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
