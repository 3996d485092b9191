"""One look at an image tells whether it can be used, and knows nearly the same picture again."""

import cv2
import numpy as np
import pytest
from PIL import Image

from resdet.audit.duplicates import MOST_LEVELS, near_groups
from resdet.audit.images import look_at_file, look_at_pixels

RNG = np.random.default_rng(0)


def picture(width=200, height=150):
    coarse = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def near(a, b):
    outlines = np.array([a.outline, b.outline], np.uint64)
    return len(near_groups(outlines, np.frombuffer(a.sketch + b.sketch, np.uint8).reshape(2, -1))) == 1


def test_size_content_and_orientation(tmp_path):
    image = Image.fromarray(picture())
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    seen = look_at_file(f"{tmp_path}/a.jpg")
    assert (seen.width, seen.height, seen.orientation, seen.content, seen.error) == (150, 200, 6, "", "")
    image.save(tmp_path / "b.JPEG", format="PNG")  # as one of ILSVRC's is
    seen = look_at_file(f"{tmp_path}/b.JPEG")
    assert (seen.width, seen.height, seen.orientation, seen.content) == (200, 150, 1, "PNG")


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("JPEG", "a.jpeg"),
        ("JPEG", "a.jfif"),
        ("PNG", "A.PNG"),
        ("GIF", "a.gif"),
        ("BMP", "a.bmp"),
        ("WEBP", "a.webp"),
        ("TIFF", "a.tiff"),
        ("PPM", "a.ppm"),
    ],
)
def test_names_that_end_as_their_content_wants(tmp_path, form, name):
    Image.fromarray(picture()).save(tmp_path / name, format=form)
    assert look_at_file(f"{tmp_path}/{name}").content == ""


def test_what_cannot_be_decoded_is_told_and_what_is_not_there_is_missing(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    cut = look_at_file(f"{tmp_path}/a.jpg")
    assert "truncated" in cut.error
    assert not cut.is_missing
    (tmp_path / "a.jpg").write_bytes(b"")
    assert "empty" in look_at_file(f"{tmp_path}/a.jpg").error
    assert look_at_file(f"{tmp_path}/b.jpg").is_missing


def test_a_picture_is_known_again_smaller_compressed_and_in_another_format(tmp_path):
    image = Image.fromarray(picture(400, 300))
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.jpg", quality=60)
    image.resize((200, 150), Image.Resampling.BICUBIC).save(tmp_path / "c.jpg")
    Image.fromarray(picture(400, 300)).save(tmp_path / "d.jpg")
    first, *same, other = (look_at_file(f"{tmp_path}/{name}") for name in ("a.png", "b.jpg", "c.jpg", "d.jpg"))
    assert all(near(first, seen) for seen in same)
    assert not near(first, other)
    assert len({first.digest, other.digest, *(seen.digest for seen in same)}) == 4


def test_outlines_alone_do_not_make_two_pictures_near():
    ramp = np.tile(np.linspace(0, 200, 90).astype(np.uint8)[None, :, None], (80, 1, 3))
    a, b = look_at_pixels(ramp), look_at_pixels(ramp + np.uint8(round(MOST_LEVELS) + 3))
    assert a.outline == b.outline == 2**64 - 1
    assert not near(a, b)


def test_the_outline_is_krawetz_difference_hash():
    pixels = picture()
    sketch = cv2.resize(pixels, (9, 8), interpolation=cv2.INTER_AREA)
    grey = np.asarray(Image.fromarray(sketch).convert("L")).astype(int)
    bits = "".join(str(int(row[x + 1] > row[x])) for row in grey for x in range(8))
    assert (look_at_pixels(pixels).outline ^ int(bits, 2)).bit_count() <= 1  # PIL's grey rounds otherwise than OpenCV's
