"""R-CNN: how boxes are warped, against a slow and obvious crop; what it learns and answers."""

import numpy as np
import pytest
import torch

from resdet.backbones.resnet import ResNet
from resdet.boxes.coder import REGION, decode
from resdet.heads.per_class_siblings import PerClassSiblings
from resdet.models.rcnn import RCNN, RCNNLoss
from resdet.structures import ImageBatch, Target

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)


def make(classes=3, size=32, pad=2.0, **loss):
    torch.manual_seed(0)
    backbone = ResNet(18, classes, width=8)
    siblings = PerClassSiblings(backbone.channels["conv5"], classes)
    return RCNN(backbone, siblings, size=size, pad=pad, mean=MEAN, std=STD, loss=RCNNLoss(**loss))


def bilinear(image, x, y):
    """``(3, H, W)`` at a point, cells' centres at half pixels; 0 more than a cell outside, the edge within that."""
    height, width = image.shape[1:]
    x, y = x - 0.5, y - 0.5
    if x < -1 or y < -1 or x > width or y > height:
        return np.zeros(3)
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    a, b = x - left, y - top
    upper = image[:, top, left] * (1 - a) + image[:, top, right] * a
    lower = image[:, bottom, left] * (1 - a) + image[:, bottom, right] * a
    return upper * (1 - b) + lower * b


def slow_crop(image, box, size, pad):
    """The box is the middle ``size - 2 pad`` pixels of the crop; each pixel is the mean of evenly spaced samples."""
    x1, y1, x2, y2 = box
    step_x, step_y = (x2 - x1) / (size - 2 * pad), (y2 - y1) / (size - 2 * pad)  # image pixels a pixel of the crop
    left, top = x1 - pad * step_x, y1 - pad * step_y
    across, down = max(1, int(np.ceil(step_x - 1e-6))), max(1, int(np.ceil(step_y - 1e-6)))
    crop = np.zeros((3, size, size))
    for row in range(size):
        for column in range(size):
            samples = [
                bilinear(image, left + (column + (i + 0.5) / across) * step_x, top + (row + (j + 0.5) / down) * step_y)
                for i in range(across)
                for j in range(down)
            ]
            crop[:, row, column] = np.mean(samples, 0)
    return crop


@pytest.mark.parametrize(
    "box", [(5.0, 4.0, 17.0, 16.0), (3.2, 2.1, 39.0, 28.7), (-4.0, 1.0, 9.0, 40.0), (8, 8, 10, 30)]
)
def test_a_crop_is_what_a_slow_obvious_one_is(box):
    torch.manual_seed(1)
    image = torch.randint(0, 256, (1, 3, 30, 40), dtype=torch.uint8)
    model = make(size=16, pad=2.0)
    pixels = model.pixels(image, [(40, 30)])
    found = model.crops(pixels, torch.tensor([[0.0, *box]]))[0]
    normal = (image[0].double() - torch.tensor(MEAN).double()[:, None, None]) / torch.tensor(STD).double()[
        :, None, None
    ]
    wanted = slow_crop(normal.numpy(), box, 16, 2.0)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-4)


def test_what_is_outside_of_an_image_is_the_mean_colour_also_in_a_padded_batch():
    images = torch.full((2, 3, 16, 16), 255, dtype=torch.uint8)
    model = make(size=8, pad=0.0)
    pixels = model.pixels(images, [(16, 16), (8, 16)])
    crops = model.crops(pixels, torch.tensor([[0, 20.0, 20, 28, 28], [1, 10.0, 0, 16, 8]]))
    assert crops.abs().sum() == 0


def test_the_box_fills_the_crop_but_for_the_pad():
    image = torch.zeros(1, 3, 40, 40, dtype=torch.uint8)
    image[:, :, 10:30, 10:30] = 255
    model = make(size=24, pad=2.0)
    crop = model.crops(model.pixels(image, [(40, 40)]), torch.tensor([[0.0, 10, 10, 30, 30]]))[0, 0]
    inside, outside = crop[2:22, 2:22], torch.cat((crop[:2].flatten(), crop[22:].flatten(), crop[:, :2].flatten()))
    torch.testing.assert_close(inside, torch.full((20, 20), (255 - MEAN[0]) / STD[0]))
    torch.testing.assert_close(outside, torch.full_like(outside, -MEAN[0] / STD[0]))


def test_judging_is_each_crop_by_itself_for_the_classes_asked_about():
    model = make(pad=4.0).eval()
    images = torch.randint(0, 256, (1, 3, 50, 60), dtype=torch.uint8)
    boxes, classes = torch.tensor([[3.0, 4, 30, 40], [10, 10, 55, 30], [0, 0, 60, 50]]), torch.tensor([2, 0])
    with torch.no_grad():
        logits, moved = model.judge(images, boxes, classes)
        for i, box in enumerate(boxes):
            crop = model.crops(model.pixels(images, [(60, 50)]), torch.cat((torch.zeros(1), box))[None])
            every_logit, deltas = model.siblings.all_classes(model.backbone.features(crop)["conv5"].mean((2, 3)))
            torch.testing.assert_close(logits[i], every_logit[0, classes], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(moved[i], decode(deltas[0, classes], box, REGION), atol=1e-4, rtol=1e-4)


def test_a_crops_numbers_are_averaged_in_float32():
    model = make()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        crops = torch.rand(2, 3, 32, 32)
        found, conv5 = model.vectors(crops), model.backbone.features(crops)["conv5"]
    assert conv5.dtype == torch.bfloat16
    torch.testing.assert_close(found, conv5.float().mean((2, 3)))


def batch():
    images = torch.zeros(4, 3, 48, 48, dtype=torch.uint8)
    targets, proposals = [], []
    for i in range(4):
        x, y = 6 + 4 * i, 8 + 2 * i
        images[i, i % 3, y : y + 20, x : x + 20] = 250
        box = torch.tensor([[x, y, x + 20, y + 20]], dtype=torch.float32)
        targets.append(Target(i % 3, box, torch.tensor([i % 3])))
        corners = torch.tensor(
            [[0.0, 0, 12, 12], [30, 30, 48, 48], [x + 2, y - 1, x + 21, y + 20], [x, y, x + 16, y + 20]]
        )
        proposals.append(corners)
    return ImageBatch(images, tuple(targets), (0, 1, 2, 3), (), tuple(proposals))


@pytest.mark.parametrize("class_loss", ["true", "all"])
def test_it_learns_a_batch_by_heart(class_loss):
    model = make(class_loss=class_loss, crops_per_image=4, object_share=0.5)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.02, momentum=0.9)
    totals = []
    for step in range(40):
        torch.manual_seed(step)
        losses = model(batch())
        assert set(losses) == {"object", "box"}
        total = losses["object"] + losses["box"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert np.mean(totals[-5:]) < 0.3 * np.mean(totals[:3]), totals
    assert model.backbone.fc.weight.grad is None


def smooth(x, beta):
    return 0.5 * x**2 / beta if abs(x) < beta else abs(x) - 0.5 * beta


def region_deltas(box, crop):
    """Fast R-CNN's four numbers, in units of 0.1 and 0.2."""
    (x1, y1, x2, y2), (a1, b1, a2, b2) = box, crop
    w, h, wa, ha = x2 - x1, y2 - y1, a2 - a1, b2 - b1
    move = ((x1 + x2 - a1 - a2) / 2 / wa / 0.1, (y1 + y2 - b1 - b2) / 2 / ha / 0.1)
    return (*move, np.log(w / wa) / 0.2, np.log(h / ha) / 0.2)


@pytest.mark.parametrize("class_loss", ["true", "all"])
def test_losses_are_those_of_the_slow_computation(class_loss):
    # more places than there are proposals: all are drawn, whatever chance says
    weights = {"object_weight": 2, "box_weight": 3, "box_beta": 0.4}
    model = make(class_loss=class_loss, crops_per_image=20, object_share=0.5, **weights).eval()
    torch.nn.init.normal_(model.siblings.reg.weight, std=0.05)
    images = batch()
    object_losses, box_losses = [], []
    with torch.no_grad():
        found = model(images)
        sample = model._sample(images, torch.device("cpu"))
        pixels = model.pixels(images.images, images.full_sizes)
        for image, box, label, wanted in zip(sample.image, sample.boxes, sample.label, sample.wanted, strict=True):
            crop = model.crops(pixels, torch.cat((image[None].float(), box))[None])
            logits, deltas = (said[0] for said in model.siblings.all_classes(model.vectors(crop)))
            own = images.targets[int(image)].label
            sure = torch.where(torch.arange(3) == own, label, 0)  # what each output should say
            each = -(sure * logits.sigmoid().log() + (1 - sure) * (1 - logits.sigmoid()).log())
            object_losses.append(float(each.sum() if class_loss == "all" else each[own]))
            if label == 1:
                far = deltas[own].numpy() - region_deltas(wanted.tolist(), box.tolist())
                box_losses.append(np.mean([smooth(x, 0.4) for x in far]))
    assert (len(object_losses), len(box_losses)) == (20, 12)  # of each image the true box and two near it; two far
    assert found["object"].item() == pytest.approx(2 * np.mean(object_losses), rel=1e-4)
    assert found["box"].item() == pytest.approx(3 * np.mean(box_losses), rel=1e-4)


@pytest.mark.parametrize(
    ("how", "objects", "background"),
    [
        ({}, 12, 8),  # each image's true box, and two that overlap it by 0.82 and 0.8; two far away
        ({"foreground_iou": 0.81}, 8, 8),  # one of these is neither
        ({"foreground_iou": 0.81, "background_iou": (0.0, 0.81)}, 8, 12),
        ({"background_iou": (0.02, 0.5)}, 12, 2),  # six of those far away overlap it by less
        ({"object_share": 0.1}, 8, 8),  # of 80 places
        ({"crops_per_image": 2, "object_share": 0.5}, 4, 4),
    ],
    ids=str,
)
def test_crops_are_drawn_by_the_settings(how, objects, background):
    model = make(**{"crops_per_image": 20, "object_share": 0.5} | how)
    label = model._sample(batch(), torch.device("cpu")).label
    assert [int((label == kind).sum()) for kind in (1, 0)] == [objects, background]


def test_a_batch_whose_images_have_neither_proposals_nor_objects_has_losses_of_0():
    empty = Target(0, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    model = make().eval()
    losses = model(ImageBatch(images, (empty, empty), (0, 1), (), (torch.zeros(0, 4), torch.zeros(0, 4))))
    assert losses["object"] == 0 and losses["box"] == 0


def test_a_pad_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="pad must leave something"):
        make(size=32, pad=16.0)


def test_in_double_it_judges_as_in_float32():
    image = torch.randint(0, 256, (1, 3, 40, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    boxes, classes = torch.tensor([[3.0, 4, 20, 30], [10, 10, 40, 38]]), torch.tensor([2, 0])
    with torch.no_grad():
        wanted = make().eval().judge(image, boxes, classes)
        found = make().double().eval().judge(image, boxes, classes)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.float(), other, rtol=1e-4, atol=1e-4)
