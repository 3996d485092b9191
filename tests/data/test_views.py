"""Views: the pixels that are cut and the boxes that are carried along agree."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from resdet.data import views
from resdet.data.views import centre, cut, from_view, to_view, whole
from resdet.structures import View


def painted(width, height, box):
    """Black, with a white rectangle of whole pixels."""
    x1, y1, x2, y2 = box
    image = np.zeros((height, width, 3), np.uint8)
    image[y1:y2, x1:x2] = 255
    return image


def found(pixels):
    """The box of what is brighter than the middle, in continuous pixels; None where nothing is."""
    bright = pixels[:, :, 0] > 127
    if not bright.any():
        return None
    xs, ys = np.flatnonzero(bright.any(0)), np.flatnonzero(bright.any(1))
    return [xs[0], ys[0], xs[-1] + 1, ys[-1] + 1]


def box_in(view, box):
    return to_view(torch.tensor([box], dtype=torch.float32), view)[0]


def test_a_view_worked_by_hand():
    view = View((10, 20, 60, 120), 25, 200)  # x by a half, y doubled
    assert box_in(view, (10, 20, 60, 120)).tolist() == [0, 0, 25, 200]
    assert box_in(view, (30, 30, 50, 40)).tolist() == [10, 20, 20, 40]
    mirrored = View((10, 20, 60, 120), 25, 200, mirror=True)
    assert box_in(mirrored, (30, 30, 50, 40)).tolist() == [5, 20, 15, 40]


@settings(max_examples=150, deadline=None)
@given(
    x=st.tuples(st.integers(0, 30), st.integers(20, 60)),
    y=st.tuples(st.integers(0, 30), st.integers(20, 60)),
    size=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    mirror=st.booleans(),
    box=st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(8, 60), st.integers(8, 60)),
)
def test_a_painted_rectangle_is_where_to_view_says(x, y, size, mirror, box):
    box = (box[0], box[1], min(box[0] + box[2], 100), min(box[1] + box[3], 100))
    view = View((x[0], y[0], x[0] + x[1], y[0] + y[1]), *size, mirror)
    seen = box_in(view, box).clamp(min=0).minimum(torch.tensor([*size, *size]))
    pixels = cut(painted(100, 100, box), view)
    assert pixels.shape == (size[1], size[0], 3)
    if min(seen[2] - seen[0], seen[3] - seen[1]) < 2:
        return  # too thin to be sure of a bright pixel
    assert found(pixels) == pytest.approx(seen.tolist(), abs=1)


@settings(max_examples=60, deadline=None)
@given(
    window=st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 500), st.integers(1, 500)),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    mirror=st.booleans(),
    box=st.tuples(*[st.floats(-100, 600, width=32)] * 4),
)
def test_from_view_undoes_to_view(window, size, mirror, box):
    x, y, w, h = window
    view = View((x, y, x + w, y + h), *size, mirror)
    boxes = torch.tensor([box])
    torch.testing.assert_close(from_view(to_view(boxes, view), view), boxes, rtol=1e-4, atol=0.05)


def test_boxes_are_not_changed_where_they_lie():
    boxes = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    to_view(boxes, View((0, 0, 10, 10), 5, 5, mirror=True))
    assert boxes.tolist() == [[1, 2, 3, 4]]


def test_no_boxes_stay_no_boxes():
    view = View((0, 0, 10, 10), 5, 5, mirror=True)
    assert to_view(torch.zeros(0, 4), view).shape == (0, 4)
    assert from_view(torch.zeros(0, 4), view).shape == (0, 4)


def test_mirroring_is_the_last_thing_done_to_the_pixels():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for size in ((8, 8), (20, 30), (40, 60)):
        straight = cut(image, View((0, 0, 30, 20), *size))
        mirrored = cut(image, View((0, 0, 30, 20), *size, mirror=True))
        assert (mirrored == straight[:, ::-1]).all()
        assert mirrored.flags.c_contiguous


def test_the_whole_image_at_its_own_size_is_itself():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert (cut(image, whole(30, 20, 20)) == image).all()


def test_shrinking_sees_every_pixel():
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2] = 200  # sampling alone would see one colour
    small = cut(stripes, whole(16, 16, 8))
    assert (small[:, 1:-1] == 100).all()
    assert (small[:, [0, -1]] == [[114], [86]]).all()  # at the edge 3, 3, 1 parts of 7: the fourth pixel is not there


@pytest.mark.parametrize("window", [(0, 0, 500, 375), (3, 7, 321, 240), (100, 50, 400, 370)])
def test_shrinking_is_pils_to_within_rounding(window):
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8), (5, 5), 0)
    for size in ((224, 224), (200, 150), (64, 233)):  # the last one may grow the height and shrink the width
        expected = Image.fromarray(image).crop(window).resize(size, Image.Resampling.BILINEAR)
        assert np.abs(cut(image, View(window, *size)).astype(int) - np.asarray(expected)).max() <= 2


@pytest.mark.parametrize("mirror", [False, True], ids=["as it is", "mirrored"])
def test_a_shrunken_part_comes_in_rows_of_pixels_and_is_not_turned_over_again(mirror, monkeypatch):
    """Planes of colour, as torch gives what it does not know to be channels-last, would cost another 0.17 ms."""
    given = []
    resized = views._resized
    monkeypatch.setattr(views, "_resized", lambda *inputs: given.append(resized(*inputs)) or given[-1])
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    cut(picture, View((3, 5, 73, 55), 32, 24, mirror))
    assert given[0].flags.c_contiguous


@pytest.mark.parametrize(
    ("window", "rows", "columns"),
    [((-2, -1, 2, 3), [-1, 0, 1, 2], [-2, -1, 0, 1]), ((3, 2, 7, 6), [2, 3, 4, 5], [3, 4, 5, 6])],
)
def test_around_the_image_is_the_colour_that_was_asked_for(window, rows, columns):
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    seen = cut(image, View(window, 4, 4), fill=(10.4, 20.6, 30))
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            inside = 0 <= row < 4 and 0 <= column < 5
            assert seen[y, x].tolist() == (image[row, column].tolist() if inside else [10, 21, 30])


def test_a_window_that_misses_the_image_is_all_fill():
    image = np.zeros((4, 5, 3), np.uint8)
    for window in ((-9, 0, -5, 4), (0, 6, 4, 10), (5, 0, 9, 4)):
        assert (cut(image, View(window, 4, 4), fill=(7, 7, 7)) == 7).all()


@pytest.mark.parametrize(
    ("width", "height", "shorter", "size"),
    [
        (500, 375, 224, (299, 224)),
        (375, 500, 224, (224, 299)),
        (64, 64, 96, (96, 96)),
        (3, 12, 16, (16, 64)),  # four to one is kept whole; thinner ones are drawn smaller, see below
    ],
)
def test_whole_keeps_the_aspect_to_a_pixel(width, height, shorter, size):
    view = whole(width, height, shorter)
    assert (view.width, view.height) == size
    assert view.window == (0, 0, width, height)


def test_the_centre_crop_is_that_of_the_resized_image():
    # 500 x 375 at a shorter side of 256 is 341 x 256; its middle 224 is 328 pixels of the original
    view = centre(500, 375, resize=256, size=224)
    assert view.window == (86, 23, 414, 351)
    assert (view.width, view.height, view.mirror) == (224, 224, False)


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (500, 375, (800, 600)),  # Faster R-CNN's 600 and 1000
        (375, 500, (600, 800)),
        (900, 300, (1000, 333)),  # the shorter side gives way
        (300, 900, (333, 1000)),
        (500, 300, (1000, 600)),  # both at once
    ],
)
def test_whole_may_have_a_longest_side(width, height, size):
    view = whole(width, height, 600, longer_side=1000)
    assert (view.window, view.width, view.height) == ((0, 0, width, height), *size)


def test_a_crop_larger_than_the_resized_image_is_the_whole_shorter_side():
    assert centre(500, 375, resize=100, size=224).window == (62, 0, 437, 375)
    assert centre(1, 1, resize=256, size=224).window == (0, 0, 1, 1)


def test_a_thin_strip_is_drawn_smaller_than_its_scale_asks_for():
    view = whole(2000, 1, 640)
    assert (view.width, view.height) == (4 * 640, 1)
    assert (whole(400, 100, 50).width, whole(400, 100, 50).height) == (200, 50)  # just within
