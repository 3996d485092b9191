"""One look at an image: whether it can be decoded, what it is, how large, and two numbers to know it again by."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from resdet.data import jpeg
from resdet.data.image import FORMATS, check_size, decode_with_pil, orientation_of, read_bytes
from resdet.errors import InputError

STARTS = {  # the first bytes of each format's files, and how their names end
    b"\xff\xd8\xff": ("JPEG", (".jpeg", ".jpg", ".jfif")),
    b"\x89PNG": ("PNG", (".png",)),
    b"GIF8": ("GIF", (".gif",)),
    b"BM": ("BMP", (".bmp",)),
    b"RIFF": ("WebP", (".webp",)),
    b"II*\0": ("TIFF", (".tif", ".tiff")),
    b"MM\0*": ("TIFF", (".tif", ".tiff")),
    b"P5": ("PGM", (".pgm", ".ppm")),
    b"P6": ("PPM", (".ppm", ".pgm")),
}
SKETCH = (8, 9, 3)  # rows, columns and colours of the small picture that an image is compared by
ENOUGH = 64  # pixels of the shorter side that the sketch is made from: no JPEG need be decoded larger


class Seen(NamedTuple):
    """What a look at an image gave."""

    width: int = 0  # of the upright image
    height: int = 0
    orientation: int = 1  # EXIF's
    content: str = ""  # "JPEG", "PNG", ..., where the name ends as another's do
    digest: int = 0  # 64 bits of the file's hash: the same file has the same
    outline: int = 0  # 64 bits, one for each two neighbours in the sketch: whether it gets brighter (Krawetz's dHash)
    sketch: bytes = b""  # SKETCH, RGB
    error: str = ""  # why it cannot be used
    is_missing: bool = False


def look_at_file(file: str) -> Seen:
    """Read and decode an image once, as training would."""
    try:
        data = read_bytes(Path(file))
        pixels, width, height, orientation = _decoded(Path(file), data)
    except InputError as error:
        return Seen(error=str(error), is_missing=not Path(file).is_file())
    digest = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())
    return Seen(width, height, orientation, _other_content(file, data), digest, *_sketched(pixels))


def look_at_pixels(pixels: np.ndarray) -> Seen:
    """The same of ``(H, W, 3)`` uint8 pixels that are no file."""
    digest = int.from_bytes(hashlib.blake2b(pixels.tobytes(), digest_size=8).digest())
    return Seen(pixels.shape[1], pixels.shape[0], 1, "", digest, *_sketched(pixels))


def _decoded(file: Path, data: bytes) -> tuple[np.ndarray, int, int, int]:
    """The pixels, smaller where that is enough; width, height and orientation of the image."""
    header = jpeg.read_header(data)
    if header is not None:
        check_size(file, header.width, header.height)
        shrink = next((s for s in jpeg.SHRINKS if min(header.width, header.height) // s >= ENOUGH), 1)
        pixels = jpeg.decode(data, header, shrink=shrink)
        if pixels is not None:
            return pixels, header.width, header.height, 1
    pixels = decode_with_pil(file, data)
    with Image.open(BytesIO(data), formats=FORMATS) as image:
        return pixels, pixels.shape[1], pixels.shape[0], orientation_of(image)


def _other_content(file: str, data: bytes) -> str:
    """The format, where the file's name ends as those of another."""
    name = file.lower()
    for start, (content, endings) in STARTS.items():
        if data.startswith(start):
            return "" if name.endswith(endings) else content
    return "unknown"


def _sketched(pixels: np.ndarray) -> tuple[int, bytes]:
    rows, columns, _ = SKETCH
    sketch = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(sketch, cv2.COLOR_RGB2GRAY)
    brighter = grey[:, 1:] > grey[:, :-1]  # (8, 8)
    return int.from_bytes(np.packbits(brighter).tobytes()), sketch.tobytes()
