"""Images of every kind are made here, with known colours, and must come out as the RGB a person sees."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from resdet.data.image import MAX_PIXELS, image_size, load_image
from resdet.errors import InputError

RED, GREEN, BLUE, WHITE = (200, 30, 30), (20, 180, 40), (30, 40, 210), (255, 255, 255)
JPEG_ROUNDING = 4  # at quality 100 without subsampling


def painted() -> np.ndarray:
    """24 high, 32 wide: red, green over blue, white, so that every turn and mirror image looks different."""
    pixels = np.empty((24, 32, 3), np.uint8)
    pixels[:12, :16], pixels[:12, 16:], pixels[12:, :16], pixels[12:, 16:] = RED, GREEN, BLUE, WHITE
    return pixels


def save(file: Path, pixels: np.ndarray | Image.Image, **options) -> Path:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    options = {"quality": 100, "subsampling": 0, **options} if file.suffix in (".jpg", ".JPEG") else options
    image.save(file, **options)
    return file


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: int = 0) -> None:
    assert actual.dtype == np.uint8
    assert actual.shape == expected.shape
    difference = np.abs(actual.astype(int) - expected.astype(int)).max()
    assert difference <= tolerance, f"{difference} > {tolerance}"


def test_plain_jpeg_shows_the_painted_colours(tmp_path):
    assert_close(load_image(save(tmp_path / "a.jpg", painted())), painted(), JPEG_ROUNDING)


def test_plain_jpeg_of_noise_equals_pils_to_within_rounding(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (61, 47, 3), np.uint8)
    for subsampling in (0, 1, 2):
        for progressive in (False, True):
            file = save(tmp_path / "a.jpg", noise, quality=80, subsampling=subsampling, progressive=progressive)
            assert_close(load_image(file), np.asarray(Image.open(file).convert("RGB")), 2)


def test_image_may_be_written_to(tmp_path):
    for name in ("a.jpg", "a.png"):
        load_image(save(tmp_path / name, painted()))[0, 0] = 7


def test_jpeg_stored_as_rgb_instead_of_ycbcr(tmp_path):
    file = save(tmp_path / "a.jpg", Image.fromarray(painted()), keep_rgb=True)
    assert_close(load_image(file), painted(), JPEG_ROUNDING)


def test_grey_jpeg_and_png_have_three_equal_channels(tmp_path):
    grey = painted()[:, :, 0]
    for name in ("a.jpg", "a.png"):
        assert_close(load_image(save(tmp_path / name, grey)), np.dstack([grey] * 3), JPEG_ROUNDING)


def test_png_named_jpeg_is_read_by_its_content(tmp_path):
    save(tmp_path / "a.png", painted()).rename(tmp_path / "n02105855_2933.JPEG")
    assert_close(load_image(tmp_path / "n02105855_2933.JPEG"), painted())


def test_alpha_is_composited_on_white(tmp_path):
    alpha = np.full((24, 32), 255, np.uint8)
    alpha[:12, :16], alpha[:12, 16:] = 0, 128
    expected = painted()
    expected[:12, :16] = 255
    expected[:12, 16:] = np.round(np.array(GREEN) * 128 / 255 + 255 * 127 / 255)
    assert_close(load_image(save(tmp_path / "a.png", np.dstack([painted(), alpha]))), expected, 1)


def test_grey_with_alpha_is_composited_on_white(tmp_path):
    alpha = Image.new("L", (32, 24), 0)
    image = Image.merge("LA", (Image.fromarray(painted()[:, :, 0]), alpha))
    assert_close(load_image(save(tmp_path / "a.png", image)), np.full((24, 32, 3), 255, np.uint8))


def test_palette_with_and_without_a_transparent_colour(tmp_path):
    image = Image.fromarray(painted()).quantize(4)
    assert image.mode == "P"
    assert_close(load_image(save(tmp_path / "a.png", image)), painted())
    red = image.getpixel((0, 0))
    expected = painted()
    expected[:12, :16] = 255
    assert_close(load_image(save(tmp_path / "b.png", image, transparency=red)), expected)


def test_one_bit_image_is_black_and_white(tmp_path):
    bits = painted()[:, :, 0] > 100
    expected = np.dstack([np.where(bits, 255, 0).astype(np.uint8)] * 3)
    assert_close(load_image(save(tmp_path / "a.png", Image.fromarray(bits))), expected)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, ending):
    ramp = np.linspace(0, 65535, 24 * 32).reshape(24, 32).astype(np.uint16)
    expected = np.dstack([np.round(ramp / 65535 * 255).astype(np.uint8)] * 3)
    assert cv2.imwrite(str(tmp_path / f"a{ending}"), ramp)
    assert_close(load_image(tmp_path / f"a{ending}"), expected, 1)


@pytest.mark.parametrize(("bits", "white"), [(16, 0), (16, 65535), (12, 4095)])
def test_grey_of_a_tiff_goes_from_what_it_calls_black_to_what_it_calls_white(tmp_path, bits, white):
    grey = np.linspace(0, 2**bits - 1, 24 * 32).astype(int)
    if bits == 16:
        pixels = grey.astype("<u2").tobytes()
    else:  # two in three bytes
        left, right = grey.reshape(-1, 2).T
        pixels = np.stack((left >> 4, (left & 15) << 4 | right >> 8, right & 255), 1).astype(np.uint8).tobytes()
    tags = {256: 32, 257: 24, 258: bits, 259: 1, 262: int(white > 0), 273: 8, 277: 1, 278: 24, 279: len(pixels)}
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + rows + bytes(4)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory)
    share = grey / (2**bits - 1)
    expected = np.round(255 * (share if white else 1 - share)).astype(np.uint8).reshape(24, 32)
    assert_close(load_image(tmp_path / "a.tif"), np.dstack([expected] * 3), 1)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_16_bit_colour_is_scaled_not_clipped(tmp_path, ending):
    assert cv2.imwrite(str(tmp_path / f"a{ending}"), painted()[:, :, ::-1].astype(np.uint16) * 257)
    assert_close(load_image(tmp_path / f"a{ending}"), painted(), 1)


def test_floating_point_pixels_are_refused(tmp_path):
    file = save(tmp_path / "a.tif", Image.fromarray(np.full((4, 4), 0.5, np.float32)))
    with pytest.raises(InputError, match=r"a\.tif: wanted whole numbers"):
        load_image(file)


def test_adobe_inverted_cmyk_jpeg(tmp_path):
    """PIL writes CMYK as Photoshop does: inverted, with an Adobe marker."""
    rgb = painted()
    cmyk = np.dstack([255 - rgb, np.zeros(rgb.shape[:2], np.uint8)])
    file = save(tmp_path / "a.jpg", Image.fromarray(cmyk, mode="CMYK"))
    assert b"Adobe" in file.read_bytes()
    assert_close(load_image(file), rgb, JPEG_ROUNDING)


def test_black_ink_of_cmyk_darkens(tmp_path):
    cmyk = np.zeros((16, 16, 4), np.uint8)
    cmyk[:, 8:, 3] = 255
    expected = np.full((16, 16, 3), 255, np.uint8)
    expected[:, 8:] = 0
    assert_close(load_image(save(tmp_path / "a.jpg", Image.fromarray(cmyk, mode="CMYK"))), expected, JPEG_ROUNDING)


def test_ycck_jpeg(tmp_path):
    """YCCK keeps the YCbCr of 255 - stored CMY, stored inverted: made by hand, then declared so in Adobe's marker."""
    rgb = painted()
    planes = np.dstack([np.asarray(Image.fromarray(255 - rgb).convert("YCbCr")), np.full(rgb.shape[:2], 255, np.uint8)])
    file = save(tmp_path / "a.jpg", Image.fromarray(255 - planes, mode="CMYK"))
    data = bytearray(file.read_bytes())
    transform = data.index(b"Adobe") + 11
    assert data[transform] == 0
    data[transform] = 2
    file.write_bytes(data)
    assert_close(load_image(file), rgb, JPEG_ROUNDING)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation, ending):
    # what a camera stores for each orientation, so that undoing it shows the painted scene (EXIF 2.3, tag 0x0112)
    scene = painted()
    stored = {
        1: scene,
        2: scene[:, ::-1],
        3: scene[::-1, ::-1],
        4: scene[::-1],
        5: scene.transpose(1, 0, 2),
        6: np.rot90(scene, 1),
        7: np.rot90(scene, 2).transpose(1, 0, 2),
        8: np.rot90(scene, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if ending == ".webp" else {}
    file = save(tmp_path / f"a{ending}", np.ascontiguousarray(stored), exif=exif, **options)
    assert_close(load_image(file), scene, JPEG_ROUNDING)
    assert image_size(file) == (32, 24)


def test_size_is_width_then_height(tmp_path):
    for name in ("a.jpg", "a.png", "a.bmp", "a.gif"):
        assert image_size(save(tmp_path / name, painted())) == (32, 24)


def test_size_needs_the_header_only(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    for name in ("a.jpg", "a.png"):
        file = save(tmp_path / name, noise)
        file.write_bytes(file.read_bytes()[:1500])
        assert image_size(file) == (300, 200)


@pytest.mark.parametrize("name", ["a.jpg", "grey.jpg", "exif.jpg", "a.png", "a.gif", "a.bmp", "a.webp", "a.tif"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_truncated_file_is_named(tmp_path, name, share):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 1
    options = {"exif": exif} if name == "exif.jpg" else {}
    file = save(tmp_path / name, pixels[:, :, 0] if name == "grey.jpg" else pixels, **options)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=f"{name}: ") as caught:
        load_image(file)
    assert "\n" not in str(caught.value)


def test_jpeg_with_bytes_after_its_end_is_whole(tmp_path):
    file = save(tmp_path / "a.jpg", painted())
    file.write_bytes(file.read_bytes() + bytes(5000))
    assert_close(load_image(file), painted(), JPEG_ROUNDING)


@pytest.mark.parametrize("read", [load_image, image_size])
@pytest.mark.parametrize("content", [b"", b"\xff", b"\xff\xd8", b"<html>404</html>", bytes(1000)])
def test_no_image_is_named(tmp_path, content, read):
    file = tmp_path / "a.jpg"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.jpg: "):
        read(file)


@pytest.mark.parametrize("read", [load_image, image_size])
def test_missing_file_and_folder_are_named(tmp_path, read):
    with pytest.raises(InputError, match=r"none\.jpg: not found"):
        read(tmp_path / "none.jpg")
    with pytest.raises(InputError, match=tmp_path.name):
        read(tmp_path)


def huge_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def huge_jpeg(tmp_path: Path) -> bytes:
    data = bytearray(save(tmp_path / "small.jpg", painted()).read_bytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 60000, 60000)
    return bytes(data)


@pytest.mark.parametrize("read", [load_image, image_size])
def test_image_that_claims_too_many_pixels_is_refused_before_decoding(tmp_path, read):
    for name, data in (("a.png", huge_png(20000, MAX_PIXELS // 20000 + 1)), ("a.jpg", huge_jpeg(tmp_path))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=f"{name}: .*pixels"):
            read(tmp_path / name)


@pytest.mark.filterwarnings("ignore")  # PIL warns of what it skips in a damaged TIFF
def test_damaged_bytes_give_an_image_or_an_input_error(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (20, 30, 3), np.uint8)
    for name in ("a.jpg", "a.png", "a.gif", "a.tif", "a.webp", "a.bmp"):
        whole = save(tmp_path / name, noise).read_bytes()
        for _ in range(30):
            data = bytearray(whole)
            for at in rng.integers(0, min(len(data), 400), 3):
                data[at] = rng.integers(256)
            (tmp_path / name).write_bytes(data)
            for read in (load_image, image_size):
                try:
                    read(tmp_path / name)
                except InputError as error:
                    assert name in str(error)


def test_what_pil_finds_odd_is_no_line_of_its_own_on_stderr(tmp_path):
    """Of a photograph of 108 megapixels it would say that it could be an attack, and not which file."""
    (tmp_path / "a.png").write_bytes(huge_png(12000, 9000))
    words = "import sys; from resdet.data.image import image_size; print(image_size(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", words, tmp_path / "a.png"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("(12000, 9000)\n", "")
