"""Random views: their bounds, the box rules, and the windows themselves where they can be counted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resdet.config import AugmentConfig
from resdet.data.augment import random_view, view_with_box, visible
from resdet.data.stored_image import shrink_of
from resdet.data.views import centre, cut, to_view
from resdet.structures import Target, View


def target(*boxes):
    return Target(3, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.arange(len(boxes)))


sides = st.integers(1, 700)


@settings(max_examples=150, deadline=None)
@given(
    width=sides,
    height=sides,
    size=st.integers(1, 300),
    seed=st.integers(0, 2**31),
    crop=st.sampled_from(["area", "shorter_side"]),
)
def test_a_random_view_is_a_part_of_the_image_drawn_square(width, height, size, seed, crop):
    view = random_view(np.random.default_rng(seed), width, height, size, AugmentConfig(crop=crop))
    x1, y1, x2, y2 = view.window
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height
    assert (view.width, view.height) == (size, size)
    assert all(type(v) is int for v in view.window)


def views(how, width=400, height=300, size=224, count=800):
    rng = np.random.default_rng(1)
    return [random_view(rng, width, height, size, how) for _ in range(count)]


def test_area_crops_keep_to_their_share_and_aspect_and_use_all_of_both():
    drawn = views(AugmentConfig(crop="area", area=(0.2, 0.5), aspect=(0.5, 2.0)))
    w, h = np.array([(v.window[2] - v.window[0], v.window[3] - v.window[1]) for v in drawn]).T
    share, aspect = w * h / (400 * 300), w / h
    assert 0.195 < share.min() < 0.21 < 0.49 < share.max() < 0.505  # whole pixels
    assert 0.49 < aspect.min() < 0.52 < 1.9 < aspect.max() < 2.03
    assert abs(np.log(aspect).mean()) < 0.05  # as often wide as tall


def test_shorter_side_crops_are_those_of_an_image_resized_to_256_to_480():
    drawn = views(AugmentConfig())
    side = np.array([v.window[2] - v.window[0] for v in drawn])
    assert (side == [v.window[3] - v.window[1] for v in drawn]).all()  # square: the aspect stays
    resized = 224 / side * 300  # what the shorter side was drawn as
    assert 254 < resized.min() < 260 < 475 < resized.max() < 482
    assert resized.mean() == pytest.approx((256 + 480) / 2, abs=8)  # uniform: the error of 800 draws is 2.3


@pytest.mark.parametrize(("side", "window"), [(256, 224), (448, 128), (224, 256), (128, 256)])
def test_a_shorter_side_crop_worked_by_hand(side, window):
    """224 of an image of 256 drawn at ``side``; all of it where that is less than 224."""
    (view,) = views(AugmentConfig(shorter_side=(side, side)), width=300, height=256, count=1)
    assert (view.window[2] - view.window[0], view.window[3] - view.window[1]) == (window, window)


def test_shorter_side_scales_with_the_crop():
    small, large = (views(AugmentConfig(), size=size, count=50) for size in (160, 224))
    assert [v.window for v in small] == [v.window for v in large]


def test_crops_fall_everywhere_and_half_are_mirrored():
    drawn = views(AugmentConfig())
    left = np.array([v.window[0] / (400 - v.window[2] + v.window[0]) for v in drawn])
    assert np.histogram(left, 4, (0, 1))[0].min() > 150
    assert 340 < sum(v.mirror for v in drawn) < 460  # 4 deviations of 14
    assert not any(v.mirror for v in views(AugmentConfig(mirror=0.0), count=50))
    assert all(v.mirror for v in views(AugmentConfig(mirror=1.0), count=50))


def test_an_image_too_long_for_the_aspect_gives_a_square():
    view = random_view(np.random.default_rng(0), 1000, 2, 32, AugmentConfig(crop="area", area=(0.9, 1.0)))
    assert (view.window[2] - view.window[0], view.window[3] - view.window[1]) == (2, 2)


@pytest.mark.parametrize(
    ("image", "area", "aspect", "window"),
    [
        ((10, 10), (0.01, 0.0101), (1.0, 1.001), (1, 1)),
        ((20, 10), (0.999, 1.0), (2.0, 2.001), (20, 10)),
        ((3, 3), (0.05, 0.051), (0.04, 0.05), (3, 3)),  # 0.1 pixels wide and 3 high
        ((3, 3), (0.05, 0.051), (20.0, 25.0), (3, 3)),
    ],
    ids=["one pixel", "the whole image", "no width: the square", "no height: the square"],
)
def test_an_area_crop_has_a_pixel_at_least_and_the_image_at_most(image, area, aspect, window):
    how = AugmentConfig(crop="area", area=area, aspect=aspect)
    x1, y1, x2, y2 = random_view(np.random.default_rng(0), *image, 32, how).window
    assert (x2 - x1, y2 - y1) == window


def test_windows_that_are_much_larger_than_their_view_can_be_decoded_smaller():
    for how in (AugmentConfig(), AugmentConfig(crop="area")):
        for size, shrinks in ((224, {1}), (64, {1, 2, 4}), (32, {1, 2, 4, 8}), (4, {8})):
            drawn = views(how, size=size, count=300)
            assert {shrink_of(view) for view in drawn} <= shrinks
            for view in drawn:
                times = min(view.window[2] - view.window[0], view.window[3] - view.window[1]) / size
                assert shrink_of(view) == max(s for s in (1, 2, 4, 8) if s <= max(1, times))


def test_a_thin_window_lies_on_multiples_of_what_its_thin_side_allows():
    how = AugmentConfig(crop="area", area=(0.999, 1.0), aspect=(0.01, 0.0101))  # 10 wide, drawn at 4
    assert {v.window[2] - v.window[0] for v in views(how, width=10, height=1000, size=4, count=20)} == {10}


PADDED = AugmentConfig(crop="pad", pad=4)


def test_a_padded_crop_is_one_of_the_81_of_a_frame_of_4_and_each_is_as_likely():
    rng = np.random.default_rng(2)
    drawn = [random_view(rng, 32, 32, 32, PADDED).window for _ in range(8100)]
    assert all((x2 - x1, y2 - y1) == (32, 32) for x1, y1, x2, y2 in drawn)
    counts = np.unique([window[:2] for window in drawn], axis=0, return_counts=True)
    assert [counts[0].min(), counts[0].max(), len(counts[0])] == [-4, 4, 81]
    assert 60 < counts[1].min() < counts[1].max() < 145  # 100 each, deviation 10


def test_a_padded_crop_worked_by_hand():
    """An image of 3x3 in a frame of 1, moved one to the right and one up: a row and a column of the frame are seen."""
    image = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    how = AugmentConfig(crop="pad", pad=1, mirror=0.0)
    rng = np.random.default_rng(0)
    seen = {v.window[:2]: cut(image, v, (100, 101, 102)) for v in (random_view(rng, 3, 3, 3, how) for _ in range(200))}
    frame = [100, 101, 102]
    assert seen[1, -1].tolist() == [
        [frame, frame, frame],
        [[3, 4, 5], [6, 7, 8], frame],
        [[12, 13, 14], [15, 16, 17], frame],
    ]
    assert (seen[0, 0] == image).all()
    assert len(seen) == 9


def test_a_padded_crop_of_a_larger_image_moves_its_middle_square_in_the_views_pixels():
    for width, height, left, top in ((400, 300, 50, 0), (300, 400, 0, 50)):
        drawn = views(PADDED, width=width, height=height, size=30, count=400)
        assert {v.window[0] for v in drawn} == {left + move for move in range(-40, 41, 10)}
        assert {v.window[1] for v in drawn} == {top + move for move in range(-40, 41, 10)}
        assert all(v.window[2] - v.window[0] == v.window[3] - v.window[1] == 300 for v in drawn)


def test_boxes_move_with_a_padded_crop():
    whole = target((0, 0, 32, 32))
    view, seen = view_with_box(np.random.default_rng(1), 32, 32, 32, PADDED, whole)
    left, top = view.window[:2]
    x = (max(0, -left), min(32, 32 - left))
    x = (32 - x[1], 32 - x[0]) if view.mirror else x
    assert seen.boxes.tolist() == [[x[0], max(0, -top), x[1], min(32, 32 - top)]]


VIEW = View((10, 10, 20, 20), 20, 20)  # doubled


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ((7, 10, 12, 20), True),  # 2 of 5 pixels wide inside: exactly 0.4
        ((6.99, 10, 12, 20), False),
        ((7, 10, 12.01, 20), True),
        ((0, 0, 10, 10), False),  # touches the corner
        ((12, 12, 12, 18), False),  # without any area
        ((5, 5, 25, 25), False),  # a quarter of it is inside, though it fills the view
        ((12, 12, 13, 13), True),
        ((12, 12, 12.25, 12.5), True),  # half a pixel of the view
        ((31, 12, 32, 18), False),  # thin, and beyond one edge alone
        ((12, 31, 18, 32), False),
    ],
)
def test_a_box_stays_when_the_asked_share_of_it_is_seen(box, kept):
    seen = visible(target(box), VIEW, min_visible=0.4)
    assert len(seen.boxes) == len(seen.labels) == int(kept)
    assert seen.label == 3


def test_boxes_of_a_mirrored_view_are_counted_from_its_right_edge():
    mirrored = replace(VIEW, mirror=True)
    two = target((12, 14, 16, 18), (8, 12, 16, 16))
    assert visible(two, mirrored, 0.1).boxes.tolist() == [[8, 8, 16, 16], [8, 4, 20, 12]]
    assert visible(two, mirrored, 0.1, clip=False).boxes.tolist() == [[8, 8, 16, 16], [8, 4, 24, 12]]


def test_boxes_end_at_the_views_edge_unless_they_are_to_reach_outside():
    three = target((8, 12, 16, 16), (0, 0, 5, 5), (12, 12, 14, 30))
    assert visible(three, VIEW, 0.1).boxes.tolist() == [[0, 4, 12, 12], [4, 4, 8, 20]]
    unclipped = visible(three, VIEW, 0.1, clip=False)
    assert unclipped.boxes.tolist() == [[-4, 4, 12, 12], [4, 4, 8, 40]]
    assert unclipped.labels.tolist() == [0, 2]
    assert three.boxes.tolist()[0] == [8, 12, 16, 16]  # the records' own memory


def test_an_image_without_boxes_shows_none():
    for clip in (True, False):
        seen = visible(target(), VIEW, 0.3, clip)
        assert (seen.boxes.shape, seen.labels.shape) == ((0, 4), (0,))
        assert (seen.boxes.dtype, seen.labels.dtype) == (torch.float32, torch.int64)


EDGE = target((0, 100, 60, 160))  # of an image of 400 x 300, where one crop in twenty or so holds half of it
SMALL = AugmentConfig(crop="area", area=(0.1, 0.12), min_visible=0.5)


def drawn_with(how, boxes, seeds=60):
    for seed in range(seeds):
        yield view_with_box(np.random.default_rng(seed), 400, 300, 224, how, boxes)


def test_crops_are_drawn_again_until_one_holds_a_box():
    held = sum(len(seen.boxes) > 0 for _, seen in drawn_with(SMALL, EDGE))
    first = sum(
        len(visible(EDGE, random_view(np.random.default_rng(s), 400, 300, 224, SMALL), 0.5).boxes) for s in range(60)
    )
    patient = AugmentConfig(crop="area", area=(0.1, 0.12), min_visible=0.5, crop_tries=1000)
    assert first < held < 60
    assert all(len(seen.boxes) for _, seen in drawn_with(patient, EDGE))


def test_a_box_that_is_ignored_is_none_to_hold():
    patient = AugmentConfig(crop="area", area=(0.1, 0.12), min_visible=0.5, crop_tries=1000)
    whole = (0, 0, 400, 300)  # of which a small crop never shows half
    both = replace(target((150, 100, 160, 110), (0, 100, 60, 160)), ignored=torch.tensor([True, False]))
    assert all(not seen.ignored.all() for _, seen in drawn_with(patient, both))
    alone = replace(target((150, 100, 160, 110), whole), ignored=torch.tensor([True, True]))
    for seed, (view, _) in enumerate(drawn_with(patient, alone, 20)):
        assert view == random_view(np.random.default_rng(seed), 400, 300, 224, patient)


def test_the_first_crop_that_holds_a_box_is_the_one_taken():
    rng, fresh = np.random.default_rng(5), np.random.default_rng(5)
    view, _ = view_with_box(rng, 400, 300, 224, AugmentConfig(crop_tries=1000, min_visible=0.5), EDGE)
    while True:
        expected = random_view(fresh, 400, 300, 224, AugmentConfig())
        if len(visible(EDGE, expected, 0.5).boxes):
            break
    assert view == expected


def test_the_centre_is_taken_when_no_crop_holds_a_box():
    once = AugmentConfig(crop="area", area=(0.1, 0.12), min_visible=0.5, crop_tries=1)
    results = [(view, seen) for view, seen in drawn_with(once, EDGE) if not len(seen.boxes)]
    assert len(results) > 30
    assert {view for view, _ in results} == {centre(400, 300, 224, 224)}
    middle = target((180, 130, 220, 170))
    everywhere = [view_with_box(np.random.default_rng(s), 400, 300, 224, once, middle) for s in range(60)]
    assert all(len(seen.boxes) for _, seen in everywhere)  # the centre shows it, and so does its target


def test_without_keep_object_and_without_boxes_the_first_crop_is_taken():
    free = AugmentConfig(crop="area", area=(0.1, 0.12), min_visible=0.5, keep_object=False)
    for how, boxes in ((free, EDGE), (SMALL, target())):
        for seed, (view, seen) in enumerate(drawn_with(how, boxes, 20)):
            assert view == random_view(np.random.default_rng(seed), 400, 300, 224, how)
            assert seen.boxes.tolist() == visible(boxes, view, 0.5).boxes.tolist()


def test_targets_of_a_view_lie_in_the_view():
    two = target((50, 40, 250, 200), (150, 150, 390, 290))
    how = AugmentConfig(crop="area")
    for _, seen in drawn_with(how, two):
        assert ((seen.boxes >= 0) & (seen.boxes <= 224)).all()
    reach = AugmentConfig(crop="area", clip_boxes=False)
    for view, seen in drawn_with(reach, two):
        torch.testing.assert_close(seen.boxes, to_view(two.boxes, view)[seen.labels])
