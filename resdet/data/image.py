"""An image file as the RGB a person sees.

Data sets are less uniform than their endings say: ILSVRC has grey and CMYK JPEGs and a PNG named .JPEG; photographs
carry their rotation in EXIF.  A plain JPEG is decoded by OpenCV, which took 37 us for 64x64 and 1.3 ms for 500x375
where PIL took 67 us and 1.5 ms, with the same pixels; PIL decodes the rest.  Colour profiles are not applied.
:mod:`resdet.data.stored_image` decodes no more of an image than a view of it needs.
"""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile

from resdet.data import jpeg
from resdet.errors import InputError

# What PIL finds odd in a file, and reads all the same, it would tell with a line of its code, not with the file's name.
warnings.filterwarnings("ignore", module=r"PIL\.")

MAX_PIXELS = 178_956_970  # where PIL too refuses: a file of a few kB can claim to be this large and fill the memory

# Of the 40 formats that PIL knows, one runs another program (EPS), some want other files too, most are never met.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
UNREAD = {b"avif": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF"}  # by what telephones call it within


def load_image(file: Path) -> np.ndarray:
    """Decode an image upright, in colour, 8 bits a channel.

    Transparent parts show white, as on a page: what lies under full transparency is arbitrary, often black, and
    would give a dark object no outline.  16-bit channels are scaled, not clipped.  Of an animation: the first frame.

    Returns:
        ``(H, W, 3)`` uint8 RGB, writable.

    Raises:
        InputError: the file is missing, empty, truncated, not an image, or claims over :data:`MAX_PIXELS` pixels.
    """
    data = read_bytes(file)
    header = jpeg.read_header(data)
    if header is None:
        return decode_with_pil(file, data)
    check_size(file, header.width, header.height)
    pixels = jpeg.decode(data, header)
    # what OpenCV does not take, PIL may, or it has the better reason
    return decode_with_pil(file, data) if pixels is None else pixels


def image_size(file: Path) -> tuple[int, int]:
    """``(width, height)`` of the upright image, read from its header: the pixels are not decoded.

    Raises:
        InputError: as :func:`load_image`, but for damage behind the header.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            check_size(file, *image.size)
            turned = orientation_of(image) in (5, 6, 7, 8)
            return (image.height, image.width) if turned else (image.width, image.height)
    except InputError:
        raise
    except Exception as error:  # PIL's parsers raise whatever they trip over: OSError, SyntaxError, struct.error...
        raise InputError(f"{file}: {_reason(error)}") from None


def read_bytes(file: Path) -> bytes:
    """All of a file that is not empty.

    Raises:
        InputError: it is missing, empty, or cannot be read.
    """
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {_reason(error)}") from None
    if not data:
        raise InputError(f"{file}: wanted an image, the file is empty")
    return data


def decode_with_pil(file: Path, data: bytes, *, upright: bool = True) -> np.ndarray:
    """:func:`load_image` for any kind of image, from the bytes of ``file``; as they lie there, if not ``upright``."""
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            check_size(file, *image.size)
            turned = upright and orientation_of(image) != 1
            return _as_rgb(file, ImageOps.exif_transpose(image) if turned else image)
    except InputError:
        raise
    except Exception as error:  # see image_size
        if kind := UNREAD.get(data[8:12] if data[4:8] == b"ftyp" else b""):
            raise InputError(f"{file}: wanted {', '.join(FORMATS)}, got {kind}: convert it to JPEG or PNG") from None
        raise InputError(f"{file}: {_reason(error)}") from None


def _as_rgb(file: Path, image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # PIL would clip at 255 what goes to 65535
        pixels = _as_tiff_means(image, np.asarray(image))
        if pixels.min() < 0 or pixels.max() > 65535:
            raise InputError(f"{file}: wanted at most 16 bits a channel, got values {pixels.min()} to {pixels.max()}")
        grey = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 = 257 * 255
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise InputError(f"{file}: wanted whole numbers for pixels, got floating point, whose white is not known")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(image.convert("RGB"))


def _as_tiff_means(image: Image.Image, pixels: np.ndarray) -> np.ndarray:
    """Grey of a TIFF from 0, black, to 65535, white: PIL neither scales 12 bits nor inverts what has white at 0."""
    if not isinstance(image, TiffImageFile):
        return pixels
    if image.tag_v2.get(BITSPERSAMPLE) == (12,):
        pixels = pixels.astype(np.uint32) * 65535 // 4095
    return 65535 - pixels.astype(np.int64) if image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0 else pixels


def orientation_of(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8, as far as PIL has not applied it: 1 is upright, 5 to 8 lie on their side."""
    if image.format == "TIFF":  # PIL turns these by itself while loading, and gives the upright size
        return 1
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & set(image.info):
        return 1  # getexif would decode all pixels to look for EXIF behind them
    return image.getexif().get(0x0112, 1)


def check_size(file: Path, width: int, height: int) -> None:
    """Refuse, before it is decoded, an image that claims more than :data:`MAX_PIXELS`."""
    if width * height > MAX_PIXELS:
        raise InputError(f"{file}: wanted at most {MAX_PIXELS} pixels, the file claims {width} x {height}")


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "not found"
    if isinstance(error, Image.UnidentifiedImageError):
        return "wanted an image, got something else or a damaged header"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return "cannot be read as an image: " + " ".join(text.split())
