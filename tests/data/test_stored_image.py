"""Views cut from files that are decoded as far as the view needs: the pixels of the whole image's view."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_jpeg import encoded, scene

from resdet.data.image import load_image
from resdet.data.stored_image import of_pixels, open_image, shrink_of
from resdet.data.views import cut, ten_crops
from resdet.errors import InputError
from resdet.structures import View

WIDTH, HEIGHT = 150, 203


@pytest.fixture(scope="module")
def photograph(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("stored") / "a.jpg"
    file.write_bytes(encoded(scene(WIDTH, HEIGHT), subsampling=2))
    return file


windows = st.tuples(st.integers(-9, 100), st.integers(-9, 150), st.integers(1, 110), st.integers(1, 110))


@settings(max_examples=60, deadline=None)
@given(window=windows, size=st.integers(1, 80), mirror=st.booleans())
def test_a_view_is_that_of_the_decoded_image(photograph, window, size, mirror):
    x, y, w, h = window
    view = View((x, y, x + w, y + h), size, size, mirror)
    expected = cut(load_image(photograph), view, (9, 8, 7))
    assert (open_image(photograph).view(view, (9, 8, 7)) == expected).all()


def test_several_views_are_decoded_once_and_are_the_same(photograph):
    crops = ten_crops(WIDTH, HEIGHT, 100, 80)  # some end at the lower edge, some in the middle
    for stored in (of_pixels(scene(WIDTH, HEIGHT), Path("x")), open_image(photograph)):
        image = load_image(photograph) if stored.pixels is None else stored.pixels
        for seen, view in zip(stored.views(crops), crops, strict=True):
            assert (seen == cut(image, view)).all()
        assert stored.views([]) == ()


@pytest.mark.parametrize(
    ("window", "size", "shrink"),
    [
        ((0, 0, 128, 128), 64, 2),
        ((0, 0, 126, 126), 64, 1),  # it would have to be grown again
        ((2, 4, 130, 132), 64, 2),
        ((1, 4, 129, 132), 64, 1),  # half a pixel off
        ((0, 0, 128, 200), 32, 4),
        ((0, 0, 128, 202), 32, 2),
        ((8, 8, 136, 200), 16, 8),
        ((0, 0, 160, 160), 10, 8),  # no more than that
    ],
)
def test_a_window_on_multiples_and_large_enough_is_decoded_smaller(window, size, shrink):
    assert shrink_of(View(window, size, size)) == shrink


def test_a_smaller_decode_differs_less_than_one_way_to_shrink_from_another(photograph):
    view = View((0, 0, 144, 200), 48, 64, mirror=True)
    image = load_image(photograph)
    exact = cut(image, view)
    near = open_image(photograph).view(view, exact=False)
    assert (open_image(photograph).view(view) == exact).all()
    shrunk = Image.fromarray(image).crop(view.window)
    other = np.asarray(shrunk.resize((48, 64), Image.Resampling.BOX))[:, ::-1]
    assert 0 < np.abs(near.astype(int) - exact).mean() < np.abs(other.astype(int) - exact).mean()


def test_a_file_that_is_no_plain_jpeg_is_decoded_at_once(tmp_path):
    Image.fromarray(scene(40, 30)).save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene(40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    for name, size in (("a.png", (40, 30)), ("turned.jpg", (30, 40))):
        stored = open_image(tmp_path / name)
        assert (stored.width, stored.height) == size
        view = View((0, 0, 28, 28), 7, 7)
        assert (stored.view(view, exact=False) == cut(load_image(tmp_path / name), view)).all()


def test_what_is_open_stays_open(photograph):
    stored = open_image(photograph)
    assert open_image(stored) is stored
    assert stored.pixels is None


def test_bad_files_are_named_when_opened_or_when_decoded(tmp_path, photograph):
    (tmp_path / "cut.jpg").write_bytes(photograph.read_bytes()[:-3000])
    data = bytearray(photograph.read_bytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 7] = b"\0\0"
    (tmp_path / "flat.jpg").write_bytes(data)
    data[at + 5 : at + 9] = b"\0\1\0\0"
    (tmp_path / "thin.jpg").write_bytes(data)
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    (tmp_path / "huge.jpg").write_bytes(data)
    data = bytearray(photograph.read_bytes())
    data[data.index(b"\xff\xc4") + 4] = 0x77  # a Huffman table that there is not
    (tmp_path / "table.jpg").write_bytes(data)
    for name, size in (("flat.jpg", "150 x 0"), ("thin.jpg", "0 x 1")):
        with pytest.raises(InputError, match=f"{name}: wanted an image, its header says {size} pixels"):
            open_image(tmp_path / name)
    with pytest.raises(InputError, match=r"huge\.jpg: wanted at most .* pixels, the file claims 65535 x 65535"):
        open_image(tmp_path / "huge.jpg")
    for name in ("cut.jpg", "table.jpg", "missing.jpg"):
        with pytest.raises(InputError, match=name):
            open_image(tmp_path / name).view(View((0, 0, 10, 10), 10, 10))
