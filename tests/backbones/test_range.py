"""Images whose numbers are in another range than 0 to 255, as torchvision's users have them."""

import warnings

import pytest
import torch

from resdet.backbones import ResNet
from resdet.backbones.resnet import normalise
from resdet.models.classifier import Classifier
from resdet.structures import ImageBatch, Target

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)
PIXELS = torch.arange(2 * 3 * 32 * 32, dtype=torch.float32).view(2, 3, 32, 32) % 256
TAKEN = {
    "uint8": PIXELS.to(torch.uint8),
    "the same as floats": PIXELS,
    "one bright image beside a dark one": torch.cat((PIXELS / 255, PIXELS)),
    "a black photograph": torch.zeros(1, 3, 32, 32),
    "dark, as uint8": (PIXELS > 99).to(torch.uint8),
    "beyond 255 and below 0 by a little, as bicubic is": PIXELS * 1.1 - 5,
    "no image": torch.zeros(0, 3, 32, 32),
}
OTHER = {"0 to 1": PIXELS / 255, "normalised": (PIXELS - 120) / 60, "double": PIXELS.double() / 256}


@pytest.fixture(scope="module")
def model():
    return Classifier(ResNet(18, 4, width=16), MEAN, STD).eval()


@pytest.mark.parametrize("images", TAKEN.values(), ids=TAKEN.keys())
def test_pixels_are_taken_without_a_word(images):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        normalise(images, torch.tensor(MEAN), torch.tensor(STD))


@pytest.mark.parametrize(
    "images", [PIXELS / 255, (PIXELS - 120) / 60, PIXELS.double() / 256], ids=["0 to 1", "normalised", "double"]
)
def test_other_ranges_are_told_by_every_door(model, images):
    target = Target(0, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    for door in (model.classify, model.logits, lambda x: model(ImageBatch(x, (target, target)))):
        with pytest.warns(UserWarning, match="images must be RGB from 0 to 255, got floats from "):
            door(images)


def test_neither_a_trace_nor_vmap_is_asked(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        mapped = torch.func.vmap(lambda image: normalise(image[None], mean, std))(PIXELS / 255)
    torch.testing.assert_close(mapped[:, 0], (PIXELS / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1))
