"""Batches of whole images: what is scaled, mirrored, padded, and where the boxes end up."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from resdet.config import DetAugmentConfig
from resdet.data.detection import (
    DetectionImages,
    DetectionTestImages,
    collate,
    detection_loader,
    detection_test_loader,
    padded,
    shown,
)
from resdet.data.grouping import GroupedPlan, wide_images
from resdet.data.plan import Draw
from resdet.data.records import Classes, Record, pack
from resdet.errors import InputError
from resdet.structures import Target, View

CLASSES = Classes(("a", "b"), ("a", "b"))
PLAIN = DetAugmentConfig(mirror=0.0)
COLOURED = DetAugmentConfig(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Eight photographs of noise, four wide and four tall, of different sizes; the last has no box."""
    root = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(8):
        width, height = (60 + i, 40 - i) if i % 2 else (40 - i, 60 + i)
        cv2.imwrite(str(root / f"{i}.png"), rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        boxes = [(5.0, 5.0, 25.0, 20.0 + i), (1.0, 2.0, 3.0, 4.0)] if i < 7 else []
        labels, flags = [i % 2, 0][: len(boxes)], [False, True][: len(boxes)]
        rows.append(Record(f"{i}.png", -1, boxes, labels, flags, (width, height)))
    return pack(root, CLASSES, rows)


def plan_of(records, **changes):
    return replace(GroupedPlan(wide_images(records), 2, 9, 3, (28, 36)), **changes)


def same(one, other):
    assert torch.equal(one.images, other.images)
    assert (one.indices, one.sizes) == (other.indices, other.sizes)
    for a, b in zip(one.targets, other.targets, strict=True):
        assert torch.equal(a.boxes, b.boxes)
        assert torch.equal(a.labels, b.labels)
        assert torch.equal(a.ignored, b.ignored)
    return True


def one_image(tmp_path, pixels, *boxes, size=(0, 0)):
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    return pack(tmp_path, CLASSES, [Record("a.png", -1, boxes, [0] * len(boxes), None, size)])


def test_the_shorter_side_is_as_drawn_unless_the_longer_one_would_be_too_long(tmp_path):
    wide = one_image(tmp_path, np.zeros((60, 90, 3), np.uint8), (0.0, 0.0, 90.0, 60.0))
    for size, shape in ((30, (30, 45)), (120, (120, 180))):  # smaller and larger than the file
        pixels, target, _ = DetectionImages(wide, 1000 / 600, PLAIN)[Draw(0, 7, size)]
        assert pixels.shape == (*shape, 3)
        assert target.boxes.tolist() == [[0, 0, shape[1], shape[0]]]
    strip = one_image(tmp_path, np.zeros((30, 90, 3), np.uint8), (0.0, 0.0, 45.0, 15.0))
    pixels, target, _ = DetectionImages(strip, 1000 / 600, PLAIN)[Draw(0, 7, 60)]
    assert pixels.shape == (33, 100, 3)  # 100 = 60 * 1000 / 600 along the longer side
    assert target.boxes[0].tolist() == pytest.approx([0, 0, 50, 16.5])
    for images in (DetectionTestImages(strip, 600, 1000), DetectionTestImages(strip)):
        assert images[0][0].shape == (333, 1000, 3)


def test_a_mirrored_image_has_its_boxes_mirrored(tmp_path):
    """A white box from x 10 to 30 of 80, at half the size: 5 to 15 of 40, mirrored 25 to 35."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[4:20, 10:30] = 255
    records = one_image(tmp_path, pixels, (10.0, 4.0, 30.0, 20.0))
    for mirror, box in ((0.0, [5, 2, 15, 10]), (1.0, [25, 2, 35, 10])):
        seen, target, _ = DetectionImages(records, 2.0, DetAugmentConfig(mirror=mirror))[Draw(0, 1, 20)]
        assert target.boxes.tolist() == [box]
        x1, y1, x2, y2 = box
        assert (seen[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1] == 255).all()  # shrinking softens the edge, and keeps the sum
        assert seen.astype(int).sum() == pytest.approx(3 * 255 * (x2 - x1) * (y2 - y1), rel=0.01)


def test_large_photographs_are_decoded_smaller_and_look_the_same(tmp_path):
    """A photograph's kind of picture, smooth, four times as large as training wants it."""
    ramp = np.linspace(0, 255, 640)[None, :] * np.linspace(0.2, 1, 480)[:, None]
    cv2.imwrite(str(tmp_path / "a.jpg"), np.repeat(ramp[:, :, None], 3, 2).astype(np.uint8))
    records = pack(tmp_path, CLASSES, [Record("a.jpg", -1, [(160.0, 120.0, 320.0, 240.0)], [0])])
    pixels, target, _ = DetectionImages(records, 2.0, PLAIN)[Draw(0, 1, 120)]
    exact, exact_target, _ = DetectionTestImages(records, 120, 240)[0]
    assert target.boxes.tolist() == exact_target.boxes.tolist() == [[40, 30, 80, 60]]
    assert pixels.shape == exact.shape == (120, 160, 3)
    assert np.abs(pixels.astype(int) - exact).max() <= 3


def test_colours_are_drawn_where_they_are_asked_for(tmp_path):
    grey = one_image(tmp_path, np.full((8, 8, 3), 100, np.uint8), (0.0, 0.0, 4.0, 8.0))
    images = DetectionImages(grey, 2.0, DetAugmentConfig(brightness=0.4))  # 100 by 0.6 to 1.4
    drawn = [np.unique(images[Draw(0, seed, 8)][0]) for seed in range(100)]
    assert {len(values) for values in drawn} == {1}
    assert 60 <= min(drawn) < 70 < 130 < max(drawn) <= 140
    assert (DetectionImages(grey, 2.0, PLAIN)[Draw(0, 1, 8)][0] == 100).all()


def test_about_half_of_the_draws_are_mirrored(tmp_path):
    records = one_image(tmp_path, np.zeros((8, 8, 3), np.uint8), (0.0, 0.0, 4.0, 8.0))
    images = DetectionImages(records, 2.0, DetAugmentConfig())
    mirrored = [images[Draw(0, seed, 8)][1].boxes[0, 0].item() == 4 for seed in range(400)]
    assert 160 < sum(mirrored) < 240


def test_boxes_are_cut_at_the_edge_and_what_has_no_area_there_is_ignored_but_kept():
    boxes = torch.tensor(
        [[-5.0, 2, 10, 8], [10, 10, 30, 30], [25, 0, 40, 5], [3, 3, 3, 9], [0, 0, 20, 10], [4, 9, 6, 7]]
    )
    ignored = torch.tensor([False, False, False, False, True, False])
    target = shown(Target(-1, boxes, torch.arange(6), ignored), View((0, 0, 20, 20), 40, 40))
    assert target.boxes.tolist()[:3] == [[0, 4, 20, 16], [20, 20, 40, 40], [40, 0, 40, 10]]
    assert target.ignored.tolist() == [False, False, True, True, True, True]
    assert target.labels.tolist() == list(range(6))


def test_images_lie_in_the_upper_left_corners_of_one_padded_tensor():
    rng = np.random.default_rng(0)
    images = [rng.integers(1, 256, shape, dtype=np.uint8) for shape in ((33, 20, 3), (10, 64, 3), (7, 7, 3))]
    batch = padded(images, 32)
    assert (batch.dtype, tuple(batch.shape)) == (torch.uint8, (3, 3, 64, 64))
    assert batch.is_contiguous(memory_format=torch.channels_last)
    for plane, image in zip(batch, images, strict=True):
        height, width = image.shape[:2]
        assert np.array_equal(plane.permute(1, 2, 0)[:height, :width], image)
        assert plane.sum() == image.sum(dtype=np.int64)  # the rest is 0
    assert tuple(padded(images, 1).shape) == (3, 3, 33, 64)
    assert tuple(padded(images).shape) == (3, 3, 64, 64)
    rows = [(image, Target(-1, torch.zeros(0, 4), torch.zeros(0)), i) for i, image in enumerate(images)]
    assert collate(rows).sizes == ((20, 33), (64, 10), (7, 7))
    assert collate(rows).indices == (0, 1, 2)
    assert torch.equal(collate(rows).images, batch)


def test_an_image_without_boxes_has_none_of_four_numbers(records):
    batch = collate([DetectionImages(records, 2.0, PLAIN)[Draw(7, 1, 30)]])
    assert batch.targets[0].boxes.shape == (0, 4)
    assert batch.targets[0].ignored.shape == (0,)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2")  # a machine of fewer cores
def test_a_seed_gives_the_same_batches_however_many_workers_load_them(records):
    images, plan = DetectionImages(records, 1.6, COLOURED), plan_of(records)
    here = list(detection_loader(images, plan, 0))
    for workers in (1, 2):
        there = list(detection_loader(images, plan, workers))
        assert all(same(a, b) for a, b in zip(here, there, strict=True))
    resumed = list(detection_loader(images, replace(plan, start=4), 1))
    assert all(same(a, b) for a, b in zip(here[4:], resumed, strict=True))
    assert {(width >= height) for batch in here for width, height in batch.sizes} == {True, False}
    for batch in here:
        assert len({width >= height for width, height in batch.sizes}) == 1
        assert all(side % 32 == 0 for side in batch.images.shape[2:])


def test_what_ran_before_does_not_show_in_a_draw(records):
    images = DetectionImages(records, 1.6, COLOURED)
    draws = [draw for batch in plan_of(records) for draw in batch]
    forwards = [images[draw] for draw in draws]
    np.random.seed(1)
    torch.manual_seed(1)
    backwards = [images[draw] for draw in reversed(draws)][::-1]
    assert same(collate(forwards), collate(backwards))


def test_validation_sees_every_image_once_in_order_whatever_its_size(records):
    images = DetectionTestImages(records, 30, 45)
    batches = list(detection_test_loader(images, 3, 0))
    assert [b.indices for b in batches] == [(0, 1, 2), (3, 4, 5), (6, 7)]
    assert [tuple(b.images.shape[2:]) for b in batches] == [(64, 64)] * 3
    assert batches[0].sizes == ((30, 45), (45, 29), (28, 45))  # 40x60, 61x39 and 38x62, the last two too long


def test_an_annotation_of_an_image_of_another_size_is_told(tmp_path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    other = one_image(tmp_path, pixels, (30.0, 20.0, 60.0, 40.0), size=(60, 40))
    told = r"a\.png: the annotation is of an image of 60 x 40 pixels, the file has 30"
    with pytest.raises(InputError, match=told) as caught:
        DetectionTestImages(other)[0]
    assert "EXIF" not in str(caught.value)
    with pytest.raises(InputError, match="of an image of 1 x 40 pixels"):
        DetectionTestImages(one_image(tmp_path, pixels, size=(1, 40)))[0]
    with pytest.raises(InputError, match=told):
        DetectionImages(other, 2.0, PLAIN)[Draw(0, 1, 20)]
    scaled = DetectionImages(other, 2.0, PLAIN, as_drawn_on=True)[Draw(0, 1, 20)]
    assert (scaled[0].shape, scaled[1].boxes.tolist()) == ((20, 30, 3), [[15, 10, 30, 20]])
    assert DetectionTestImages(one_image(tmp_path, pixels, size=(30, 20)))[0][0].shape == (600, 900, 3)


def test_boxes_drawn_before_exif_turned_the_image_are_told(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    stored = pack(tmp_path, CLASSES, [Record("a.jpg", -1, size=(30, 20))])
    with pytest.raises(InputError, match=r"30 x 20 pixels, the file has 20 x 30 \(it may .* EXIF"):
        DetectionTestImages(stored)[0]
    upright = pack(tmp_path, CLASSES, [Record("a.jpg", -1, size=(20, 30))])
    assert DetectionTestImages(upright, 40, 80)[0][0].shape == (60, 40, 3)


def test_a_bad_image_is_one_line_with_workers_as_without(tmp_path):
    (tmp_path / "bad.jpg").write_text("no image")
    bad = pack(Path(tmp_path), CLASSES, [Record("bad.jpg", -1, size=(3, 3))])
    images, plan = DetectionImages(bad, 2.0, PLAIN), GroupedPlan(wide_images(bad), 1, 1, 0, (8, 8))
    told = []
    for workers in (0, 1):
        with pytest.raises(InputError, match=r"bad\.jpg: wanted an image") as caught:
            list(detection_loader(images, plan, workers))
        told.append(str(caught.value))
    assert told[0] == told[1]
