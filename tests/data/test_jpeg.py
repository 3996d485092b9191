"""JPEGs decoded in part are the whole one's pixels, and smaller ones its averages."""

from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from resdet.data.jpeg import SHRINKS, decode, read_header


def scene(width: int, height: int, seed: int = 0) -> np.ndarray:
    """As smooth and as rough as a photograph: noise at all scales, weaker the finer it is."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for scale in (1, 2, 4, 8, 16, 32, 64):
        noise = rng.normal(0, scale, (height // scale + 2, width // scale + 2, 3)).astype(np.float32)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + total, 0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray, **options) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **{"quality": 90, "subsampling": 0, **options})
    return stream.getvalue()


@pytest.mark.parametrize("subsampling", [0, 1, 2], ids=["4:4:4", "4:2:2", "4:2:0"])
def test_the_upper_part_is_that_of_the_whole_image_bit_for_bit(subsampling, capfd):
    data = encoded(scene(150, 203), subsampling=subsampling)
    header = read_header(data)
    whole = decode(data, header)
    assert header.block == (16 if subsampling == 2 else 8)
    for rows in range(1, 204):
        part = decode(data, header, rows)
        assert rows <= len(part) <= 203
        assert (part[:rows] == whole[:rows]).all()
    assert len(decode(data, header, 50)) < 75  # and it is a part
    assert capfd.readouterr().err == ""  # libjpeg prints there what it takes for damage


def test_a_second_picture_behind_the_first_is_no_damage(capfd):
    """Cameras put one there for a preview, for depth, for the other eye (MPO)."""
    first = encoded(scene(150, 203))
    data = first + encoded(scene(90, 60, seed=1))
    part = decode(data, read_header(data), 50)
    assert len(part) < 75
    assert (part == decode(first, read_header(first))[: len(part)]).all()
    assert capfd.readouterr().err == ""


def test_the_part_of_a_tall_image_has_all_rows_too():
    data = encoded(scene(40, 1100))
    part = decode(data, read_header(data), 1007)
    assert len(part) == 1008  # a height of two bytes, both of which count
    assert (part[:1007] == decode(data, read_header(data))[:1007]).all()


def test_a_grey_image_is_decoded_in_part_too():
    data = encoded(scene(90, 200)[:, :, 0])
    part = decode(data, read_header(data), 40)
    assert len(part) == 48
    assert (part == decode(data, read_header(data))[:48]).all()


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_blocks": 3}], ids=["progressive", "DRI"])
def test_files_whose_rows_cannot_be_read_alone_are_decoded_whole(options, capfd):
    data = encoded(scene(90, 200), **options)
    header = read_header(data)
    assert (header.width, header.height, header.block) == (90, 200, 0)
    assert (decode(data, header, 20) == decode(data, header)).all()
    assert capfd.readouterr().err == ""


def test_a_sequential_file_that_could_have_more_tables_than_a_baseline_one_is_read_alike():
    data = encoded(scene(90, 200), subsampling=0)
    extended = data.replace(b"\xff\xc0", b"\xff\xc1", 1)
    assert read_header(extended) == read_header(data)
    assert (decode(extended, read_header(extended), 20) == decode(data, read_header(data), 20)).all()


def test_four_components_are_no_plain_jpeg_whatever_they_are_called():
    stream = BytesIO()
    Image.fromarray(scene(24, 16)).convert("CMYK").save(stream, "JPEG")
    data = bytearray(stream.getvalue())
    assert read_header(bytes(data)) is None
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    data[frame + 10 : frame + 22 : 3] = data[scan + 5 : scan + 13 : 2] = b"\1\2\3\4"  # the first three as YCbCr's
    assert read_header(bytes(data)) is None


def test_a_file_that_ends_anywhere_before_its_end_is_no_plain_jpeg():
    data = encoded(scene(24, 16))
    assert read_header(data)
    assert not any(read_header(data[:end]) for end in range(len(data) - 1))


@pytest.mark.parametrize("shrink", SHRINKS)
def test_a_smaller_decode_is_the_average_of_the_pixels(shrink):
    pixels = scene(160, 240)
    for subsampling in (0, 2):
        data = encoded(pixels, subsampling=subsampling)
        small = decode(data, read_header(data), 0, shrink)
        whole = decode(data, read_header(data))
        expected = whole.reshape(240 // shrink, shrink, 160 // shrink, shrink, 3).mean((1, 3))
        difference = np.abs(small - expected)
        assert small.shape == expected.shape
        assert difference.mean() < 1
        assert difference.max() < 20


def test_sizes_that_do_not_divide_are_rounded_up():
    data = encoded(scene(37, 99))
    assert decode(data, read_header(data), 0, 4).shape == (25, 10, 3)
    assert decode(data, read_header(data), 41, 4).shape == (12, 10, 3)  # 48 rows of the 99


def test_photographs_keep_to_the_bound(data_root):
    for file in sorted((data_root / "ilsvrc-val-1to8").rglob("*.JPEG")):
        data = file.read_bytes()
        header = read_header(data)
        whole = decode(data, header)
        assert (decode(data, header, 200)[:200] == whole[:200]).all()
        for shrink in (2, 4):
            height, width = (side // shrink for side in whole.shape[:2])
            small = decode(data, header, 0, shrink)[:height, :width]
            expected = whole[: height * shrink, : width * shrink].reshape(height, shrink, width, shrink, 3).mean((1, 3))
            assert np.abs(small - expected).mean() < 1
