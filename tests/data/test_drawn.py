"""Images of another size than their annotation's, or turned by EXIF: boxes and pixels fit each other again."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from resdet.build import build_localizer, build_protocol
from resdet.config import AugmentConfig, LocConfig
from resdet.data import loading
from resdet.data.drawn import open_as_drawn_on
from resdet.data.formats.ilsvrc_loc import read
from resdet.data.lists import imagenet_wnids
from resdet.data.loading import TrainingImages
from resdet.data.plan import Draw
from resdet.engine.distributed import Process
from resdet.errors import InputError
from resdet.inference.locate import Locators, Member
from resdet.jobs.localization import predict
from resdet.jobs.trained import RunOptions
from resdet.settings import override
from resdet.structures import View

TENCH, GOLDFISH = imagenet_wnids()[:2]
SIDES = ("xmin", "ymin", "xmax", "ymax")


def put(root, pixels, box, size, *, orientation=1, name="a", split="train"):
    """One image with a box in inclusive pixels of an image of ``size``."""
    place = f"{split}/{TENCH}/{name}" if split == "train" else f"{split}/{name}"
    image, xml = root / f"Data/CLS-LOC/{place}.png", root / f"Annotations/CLS-LOC/{place}.xml"
    for file in (image, xml):
        file.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(image, exif=exif)
    sides = "".join(f"<{side}>{value}</{side}>" for side, value in zip(SIDES, box, strict=True))
    extent = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    named = f"<name>{TENCH}</name><bndbox>{sides}</bndbox>"
    xml.write_text(f"<annotation>{extent}<object>{named}</object></annotation>")
    return image


def with_square(width, height, x1, y1, x2, y2):
    """A black image, white from (x1, y1) up to (x2, y2)."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[y1:y2, x1:x2] = 255
    return pixels


def white_in(pixels):
    """The edges of what is white, and the share of it in there."""
    white = pixels.min(2) > 127
    rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return box, white[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean()


def test_boxes_drawn_on_a_larger_picture_lie_where_the_object_is(tmp_path):
    put(tmp_path, with_square(50, 40, 30, 20, 45, 35), (60, 40, 89, 69), (100, 80))  # drawn at twice the size
    records = read(tmp_path, "train")
    plain = AugmentConfig(shorter_side=(224, 224), mirror=0.0, pca_lighting=0.0)
    for images in (TrainingImages(records, plain), loading.TestImages(records, 80, 80)):
        pixels, target, _ = images[Draw(0, 1, 80) if isinstance(images, TrainingImages) else 0]
        found, filled = white_in(pixels)
        assert filled > 0.9
        assert np.abs(np.array(found) - target.boxes[0].numpy()).max() <= 1


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_picture_that_exif_turns_is_seen_as_it_was_drawn_on(tmp_path, orientation):
    put(tmp_path, with_square(60, 40, 30, 10, 50, 20), (30, 10, 49, 19), (60, 40), orientation=orientation)
    image = open_as_drawn_on(read(tmp_path, "train"), 0)
    assert (image.width, image.height) == (60, 40)
    assert white_in(image.pixels)[0] == (30, 10, 50, 20)


@pytest.mark.parametrize("scale", [1, 2])
def test_also_where_it_is_nearly_square(tmp_path, scale):
    size = (200 // scale, 198 // scale)  # within ALIKE of 198 x 200, which the upright image has
    put(tmp_path, with_square(200, 198, 60, 10, 80, 30), (0, 0, 9, 9), size, orientation=6)
    image = open_as_drawn_on(read(tmp_path, "train"), 0)
    assert (image.width, image.height) == size
    assert white_in(image.pixels)[0] == tuple(side // scale for side in (60, 10, 80, 30))


def test_one_that_was_drawn_on_upright_stays_upright(tmp_path):
    put(tmp_path, with_square(60, 40, 30, 10, 50, 20), (0, 0, 9, 9), (40, 60), orientation=6)
    image = open_as_drawn_on(read(tmp_path, "train"), 0)
    assert (image.width, image.height) == (40, 60)
    assert white_in(image.pixels)[0] == (20, 30, 30, 50)  # a quarter turn clockwise, of an image 40 high


def test_an_image_of_the_right_size_or_of_no_known_one_is_not_decoded_yet(tmp_path):
    for name, size in (("a", (50, 40)), ("b", None), ("c", (0, 0))):
        put(tmp_path, with_square(50, 40, 0, 0, 9, 9), (0, 0, 9, 9), size, name=name)
        file = tmp_path / f"Data/CLS-LOC/train/{TENCH}/{name}.png"
        Image.open(file).save(file.with_suffix(".JPEG"))
        file.unlink()
    records = read(tmp_path, "train")
    assert records.sizes.tolist() == [[50, 40], [0, 0], [0, 0]]
    for index in range(3):
        image = open_as_drawn_on(records, index)
        assert (image.width, image.height, image.pixels) == (50, 40, None)


@pytest.mark.parametrize("size", [(40, 50), (100, 60)])
def test_another_shape_is_refused_by_name(tmp_path, size):
    file = put(tmp_path, with_square(50, 40, 0, 0, 9, 9), (0, 0, 9, 9), size)
    with pytest.raises(InputError, match=rf"a\.png: the annotation is of an image of {size[0]} x {size[1]} pixels"):
        open_as_drawn_on(read(tmp_path, "train"), 0)
    assert file.exists()


def test_an_annotation_that_claims_a_giant_picture_does_not_fill_the_memory(tmp_path):
    put(tmp_path, with_square(50, 40, 0, 0, 9, 9), (0, 0, 9, 9), (50 * 2**17, 40 * 2**17))
    with pytest.raises(InputError, match=r"a\.png: wanted at most 178956970 pixels, the file claims 6553600 x 5242880"):
        open_as_drawn_on(read(tmp_path, "train"), 0)


def test_what_is_found_is_in_the_annotations_pixels(tmp_path):
    """Of a small file with a large annotation as of a file that is as large: the same boxes."""
    small = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    put(tmp_path / "small", small, (0, 0, 99, 79), (100, 80), split="val")
    records = read(tmp_path / "small", "val")
    whole = open_as_drawn_on(records, 0).view(View((0, 0, 100, 80), 100, 80))
    put(tmp_path / "large", whole, (0, 0, 99, 79), (100, 80), split="val")
    words = ("model.backbone.depth=18", "model.backbone.width=8", "model.neck=8", "data.size=64", "data.resize=64")
    config = override(LocConfig, {}, words, "test")
    torch.manual_seed(0)
    locators = Locators((Member(build_localizer(config, 1000).eval(), build_protocol(config)),))
    how = RunOptions(Process(0, 1, torch.device("cpu")), "fp32", batch_size=64, workers=0)
    one, other = (predict(locators, found, how) for found in (records, read(tmp_path / "large", "val")))
    assert np.array_equal(one.boxes, other.boxes)
    assert one.boxes[..., 2].max() > 50


def test_a_classifier_asks_for_no_boxes(tmp_path):
    put(tmp_path, with_square(50, 40, 0, 0, 9, 9), (0, 0, 9, 9), (100, 60))  # would be refused
    records = read(tmp_path, "train").without_boxes()
    assert (len(records), records.target(0).boxes.shape) == (1, (0, 4))
    seen = TrainingImages(records, replace(AugmentConfig(), pca_lighting=0.0))[Draw(0, 1, 32)]
    assert seen[0].shape == (32, 32, 3)
    assert records.select(torch.tensor([0, 0])).box_counts().tolist() == [0, 0]
