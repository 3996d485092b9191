"""What is wrong with a box, by hand, and what PIL and torchvision say to turning and overlap."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.ops import box_iou

from resdet.audit.boxes import SAME_OBJECT, Frame, as_numbers, doubles, examine, turned

VOC, ILSVRC, COCO = Frame(1, 1), Frame(0, 1), Frame(0, 0)


def kinds(faults):
    return [kind for kind, _ in faults]


@pytest.mark.parametrize(
    ("frame", "sides", "wanted", "box"),
    [
        (VOC, (1, 1, 60, 40), [], (0, 0, 60, 40)),  # the whole image of 60 x 40, counted from 1
        (VOC, (0, 1, 60, 40), ["outside"], (0, 0, 60, 40)),
        (VOC, (1, 1, 61, 40), ["outside"], (0, 0, 60, 40)),
        (ILSVRC, (0, 0, 59, 39), [], (0, 0, 60, 40)),
        (ILSVRC, (0, 0, 60, 39), ["outside"], (0, 0, 60, 40)),  # off by one, as many of ILSVRC's are
        (COCO, (0, 0, 60, 40.004), [], (0, 0, 60, 40.004)),  # hundredths that were rounded up
        (ILSVRC, (20, 5, 10, 30), ["upside-down"], (10, 5, 21, 31)),  # pixels 10 to 20, both inside
        (COCO, (20, 5, 10, 30), ["upside-down"], (10, 5, 20, 30)),
        (ILSVRC, (7, 5, 7, 30), ["small"], (7, 5, 8, 31)),  # one column of pixels
        (COCO, (7, 5, 7, 30), ["no-area"], None),
        (COCO, (70, 5, 80, 30), ["outside"], None),
        (COCO, (59, 5, 80, 30), ["outside", "small"], (59, 5, 60, 30)),
        (COCO, (80, 5, -5, 30), ["upside-down", "outside"], (0, 5, 60, 30)),
    ],
)
def test_faults_of_a_box_and_what_it_should_be(frame, sides, wanted, box):
    faults, corrected = examine(sides, frame, 60, 40)
    assert kinds(faults) == wanted
    assert corrected == box
    assert corrected is None or examine(frame.sides(corrected), frame, 60, 40)[1] == corrected


def test_of_an_image_that_is_not_known_nothing_is_outside():
    assert examine((0, 0, 9999, 9999), COCO, 0, 0) == ([], (0, 0, 9999, 9999))


@pytest.mark.parametrize(
    "words",
    [
        ("1", "2", "3"),
        ("1", "2", "3", "nan"),
        (1, 2, 3, math.inf),
        ("1", "x", "3", "4"),
        (1, 2, 3, None),
        (1, 2, 3, 10**400),
    ],
)
def test_no_four_finite_numbers(words):
    assert as_numbers(words) is None


def test_two_boxes_of_one_class_on_one_object_are_told_by_their_overlap():
    boxes = [(0.0, 0.0, 100.0, 100.0), (0.0, 0.0, 100.0, 91.0), (0.0, 0.0, 100.0, 89.0), (50.0, 0.0, 150.0, 100.0)]
    overlap = box_iou(torch.tensor(boxes), torch.tensor(boxes))
    wanted = [(i, j) for j in range(4) for i in range(j) if overlap[i, j] >= SAME_OBJECT]
    assert list(doubles([("cat", box) for box in boxes])) == wanted == [(0, 1), (1, 2)]
    assert not list(doubles([("cat", boxes[0]), ("dog", boxes[1])]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_as_pil_turns_the_image(orientation):
    pixels = np.zeros((20, 30), np.uint8)
    pixels[3:9, 5:17] = 255  # the box (5, 3, 17, 9) of the image as it is stored
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image))
    rows, columns = np.nonzero(upright)
    wanted = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert turned((5, 3, 17, 9), upright.shape[1], upright.shape[0], orientation) == wanted
