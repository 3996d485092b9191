"""Testing protocols against a slow, obvious implementation: one crop at a time, sliced by numpy, its own softmax."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import resize

from resdet.backbones.cifar import CifarResNet
from resdet.backbones.resnet import ResNet
from resdet.data.viewed_images import ViewedImage
from resdet.data.views import cut, ten_crops
from resdet.inference.cls import ClsProtocol, Voter, Voters, probabilities
from resdet.models.classifier import Classifier
from resdet.structures import View

CPU = torch.device("cpu")
MEAN, STD = (120.0, 110.0, 100.0), (60.0, 61.0, 62.0)
SIZES = ((48, 40), (40, 56), (48, 40))  # width, height; all with a shorter side of 40, so that 40 resizes nothing
TEN = ClsProtocol("10-crop", size=32, resize=40)
K = 7


@pytest.fixture(scope="module")
def model():
    """Far from uniform: averages before and after the softmax, and of other views, differ by far more than rounding."""
    torch.manual_seed(0)
    net = CifarResNet(8, K)
    with torch.no_grad():
        net.fc.weight.mul_(20)
    return Classifier(net, MEAN, STD).eval()


def images(sizes=SIZES):
    rng = np.random.default_rng(0)
    smooth = [rng.integers(0, 256, (h // 8, w // 8, 3), dtype=np.uint8) for w, h in sizes]
    return [np.ascontiguousarray(s.repeat(8, 0).repeat(8, 1)) for s in smooth]


def viewed(pictures, protocol):
    rows = []
    for i, image in enumerate(pictures):
        height, width = image.shape[:2]
        views = tuple(protocol.views(width, height))
        rows.append(ViewedImage(i, width, height, views, tuple(cut(image, view) for view in views)))
    return rows


def softmax(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()


def cells_of(model, crop):
    """The last map of one crop, ``(C, h, w)`` float64, by the network on a batch of one."""
    pixels = (torch.from_numpy(crop.copy()).float() - torch.tensor(MEAN)) / torch.tensor(STD)
    with torch.inference_mode():
        return model.backbone.features(pixels.permute(2, 0, 1)[None])["conv5"][0].double().numpy()


def said_of(model, features):
    fc = model.backbone.fc
    return fc.weight.detach().double().numpy() @ features + fc.bias.detach().double().numpy()


def said_of_crop(model, crop):
    return softmax(said_of(model, cells_of(model, crop).mean((1, 2))))


def halved(image):
    """At half its size, as torchvision shrinks."""
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)
    small = resize(pixels, [image.shape[0] // 2, image.shape[1] // 2], antialias=True)
    return small.permute(1, 2, 0).numpy()


def check(found, expected):
    torch.testing.assert_close(found, torch.from_numpy(np.stack(expected)), rtol=1e-5, atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(len(found), dtype=torch.float64))


def test_one_crop_equals_the_middle_sliced_out(model):
    protocol = ClsProtocol("1-crop", size=32, resize=40)
    expected = []
    for image in images():
        top, left = (image.shape[0] - 32) // 2, (image.shape[1] - 32) // 2
        expected.append(said_of_crop(model, image[top : top + 32, left : left + 32]))
    model.train()  # as it is when training asks how good it is
    check(probabilities(model, [viewed(images(), protocol)], protocol, CPU), expected)


def ten_slices(image, side):
    h, w = image.shape[:2]
    top, left = (h - side) // 2, (w - side) // 2
    crops = [
        image[:side, :side],
        image[:side, w - side :],
        image[h - side :, :side],
        image[h - side :, w - side :],
        image[top : top + side, left : left + side],
    ]
    return crops + [crop[:, ::-1] for crop in crops]


def test_ten_crops_equal_a_loop_over_slices(model):
    expected = [np.mean([said_of_crop(model, c) for c in ten_slices(image, 32)], axis=0) for image in images()]
    check(probabilities(model, [viewed(images(), TEN)], TEN, CPU), expected)


def test_ten_crops_of_an_image_twice_as_large_are_shrunk(model):
    (image,) = images(((96, 80),))
    expected = np.mean([said_of_crop(model, halved(c)) for c in ten_slices(image, 64)], axis=0)
    check(probabilities(model, [viewed([image], TEN)], TEN, CPU), [expected])


def test_ten_crops_worked_by_hand():
    views = ten_crops(100, 80, resize=40, size=30)  # at half its size 50 x 40: crops of 30 are 60 of the image's pixels
    corners = [(0, 0, 60, 60), (40, 0, 100, 60), (0, 20, 60, 80), (40, 20, 100, 80), (20, 10, 80, 70)]
    assert views == [View(window, 30, 30, mirror) for mirror in (False, True) for window in corners]


@pytest.mark.parametrize("mirror", [False, True])
def test_dense_equals_a_loop_over_scales_and_mirrors(model, mirror):
    protocol = ClsProtocol("dense", size=32, resize=40, scales=(20, 40), mirror=mirror)
    expected = []
    for image in images():
        scales = [halved(image), image]
        scales += [s[:, ::-1] for s in scales] if mirror else []
        expected.append(np.mean([said_of_crop(model, s) for s in scales], axis=0))
    check(probabilities(model, [viewed(images(), protocol)], protocol, CPU), expected)


def test_dense_logits_averaged_over_cells_are_global_pooling(model):
    protocol = ClsProtocol("dense", size=32, resize=40, scales=(40,))
    expected = []
    for image in images():
        cells = cells_of(model, image)
        every = [said_of(model, cells[:, y, x]) for y in range(cells.shape[1]) for x in range(cells.shape[2])]
        expected.append(softmax(np.mean(every, axis=0)))
    check(probabilities(model, [viewed(images(), protocol)], protocol, CPU), expected)


def test_dense_probabilities_equal_a_loop_over_windows_of_a_crops_size(model):
    protocol = ClsProtocol("dense", size=32, resize=40, scales=(20, 40), per_position=True)
    expected = []
    for image in images():
        scales = []
        for drawn in (halved(image), image):
            cells = cells_of(model, drawn)  # stride 4: a crop of 32 is 8 x 8 of them; 20 pixels are but 5
            side_y, side_x = min(8, cells.shape[1]), min(8, cells.shape[2])
            said = [
                softmax(said_of(model, cells[:, y : y + side_y, x : x + side_x].mean((1, 2))))
                for y in range(cells.shape[1] - side_y + 1)
                for x in range(cells.shape[2] - side_x + 1)
            ]
            scales.append(np.mean(said, axis=0))
        expected.append(np.mean(scales, axis=0))
    found = probabilities(model, [viewed(images(), protocol)], protocol, CPU)
    check(found, expected)
    logits = ClsProtocol("dense", size=32, resize=40, scales=(20, 40))
    assert not torch.allclose(found, probabilities(model, [viewed(images(), logits)], logits, CPU), atol=1e-3)


def test_a_crop_of_training_size_is_one_position():
    torch.manual_seed(0)
    model = Classifier(ResNet(18, K, width=8), MEAN, STD).eval()
    alike = [ClsProtocol("dense", size=64, resize=64, scales=(64,), per_position=each) for each in (False, True)]
    square = images(((64, 64),))
    torch.testing.assert_close(*[probabilities(model, [viewed(square, p)], p, CPU) for p in alike])


def test_how_images_are_batched_does_not_matter(model):
    for protocol in (TEN, ClsProtocol("dense", size=32, resize=40, scales=(20, 40), mirror=True)):
        rows = viewed(images(), protocol)
        together, parted, alone = (
            probabilities(model, batches, protocol, CPU)
            for batches in ([rows], [rows[:2], rows[2:]], [[r] for r in rows])
        )
        # float32's tolerances: the answers are float64, the network is not
        torch.testing.assert_close(parted, together, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-6)


def test_no_more_views_are_run_at_once_than_there_are_images(model, monkeypatch):
    seen = []
    logits = model.logits
    monkeypatch.setattr(model, "logits", lambda pixels: seen.append(len(pixels)) or logits(pixels))
    probabilities(model, [viewed(images(), TEN)], TEN, CPU)
    assert sum(seen) == 30
    assert max(seen) == 3


def test_an_unknown_protocol_names_the_known_ones():
    with pytest.raises(ValueError, match=r"one of 1-crop, 10-crop, dense, got '5-crop'"):
        ClsProtocol("5-crop", 32, 40)


def test_voters_are_averaged_each_over_its_own_views_and_by_its_own_names_of_the_labels(model):
    torch.manual_seed(1)
    other = Classifier(CifarResNet(8, K), MEAN, STD).eval()
    one_crop = ClsProtocol("1-crop", size=32, resize=40)
    same, turned = torch.arange(K), torch.arange(K).flip(0)
    voters = Voters((Voter(model, TEN, same), Voter(other, one_crop, turned), Voter(model, one_crop, same)))
    alone = [
        probabilities(net, [viewed(images(), protocol)], protocol, CPU)
        for net, protocol in ((model, TEN), (other, one_crop), (model, one_crop))
    ]
    found = voters.probabilities(viewed(images(), voters), CPU)
    torch.testing.assert_close(found, (alone[0] + alone[1].flip(1) + alone[2]) / 3)
