"""Random views and colours: their bounds, the box rules, and that a seed alone decides."""

import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resdet.config import AugmentConfig
from resdet.data.augment import color_jitter, random_view, view_with_box, visible
from resdet.data.views import centre, to_view
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


def test_shorter_side_scales_with_the_crop():
    small, large = (views(AugmentConfig(), size=size, count=50) for size in (64, 224))
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
    ],
)
def test_a_box_stays_when_the_asked_share_of_it_is_seen(box, kept):
    seen = visible(target(box), VIEW, min_visible=0.4)
    assert len(seen.boxes) == len(seen.labels) == int(kept)
    assert seen.label == 3


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


IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def test_a_seed_alone_decides_the_colours():
    jitter, other = color_jitter(AugmentConfig(hue=0.1)), color_jitter(AugmentConfig(hue=0.1))
    first = [jitter(IMAGE, seed) for seed in range(12)]
    random.seed(9)
    np.random.seed(9)
    for seed in (*range(100, 105), *reversed(range(12))):  # another order, another past
        pixels = other(IMAGE, seed)
        assert seed >= 12 or (pixels == first[seed]).all()
    assert len({pixels.tobytes() for pixels in first}) > 8


def test_colours_leave_their_input_alone_and_keep_its_form():
    before = IMAGE.copy()
    for seed in range(8):
        pixels = color_jitter(AugmentConfig(hue=0.2))(IMAGE, seed)
        assert (pixels.shape, pixels.dtype) == (IMAGE.shape, np.uint8)
    assert (before == IMAGE).all()


def test_the_share_of_changed_images_is_the_probability():
    jitter = color_jitter(AugmentConfig(color_probability=0.3))
    changed = sum((jitter(IMAGE, seed) != IMAGE).any() for seed in range(300))
    assert 90 - 32 < changed < 90 + 32  # 4 deviations of 8


def test_brightness_stays_within_its_strength():
    how = AugmentConfig(brightness=0.4, contrast=0.0, saturation=0.0, hue=0.0, color_probability=1.0)
    grey = np.full((8, 8, 3), 100, np.uint8)
    values = [int(color_jitter(how)(grey, seed).mean()) for seed in range(200)]
    assert 60 <= min(values) < 64
    assert 136 < max(values) <= 140


@pytest.mark.parametrize(
    "how",
    [
        AugmentConfig(color_probability=0.0),
        AugmentConfig(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0),
    ],
)
def test_no_colours_is_no_function(how):
    assert color_jitter(how) is None


def test_strengths_of_more_than_one_stop_at_black():
    how = AugmentConfig(brightness=3.0, color_probability=1.0)
    assert all(math.isfinite(color_jitter(how)(IMAGE, seed).mean()) for seed in range(5))
