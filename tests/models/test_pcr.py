"""VGG's per-class regression: targets and boxes worked by hand, dense testing against crops one by one, learning."""

import math

import pytest
import torch
from coloured_rectangles import rectangles, target
from torch.nn import functional

from resdet.backbones.resnet import ResNet
from resdet.heads.per_class_box import PerClassBox
from resdet.models.classifier import Classifier
from resdet.models.pcr import PCRLocalizer, PCRLoss
from resdet.structures import ImageBatch, Target

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)
CLASSES, WIDTH = 5, 8  # conv5 has 64 channels and a stride of 16


def localizer(size: int = 48, bins: int = 1, **loss) -> PCRLocalizer:
    torch.manual_seed(0)
    backbone = ResNet(18, CLASSES, stem="3x3-pool", width=WIDTH)
    head = PerClassBox(64 * bins**2, 16, CLASSES)
    torch.nn.init.normal_(head.neck.weight, std=0.04)
    torch.nn.init.normal_(head.reg.weight, std=0.2)  # untrained answers that are far from alike
    torch.nn.init.normal_(head.reg.bias, std=0.3)
    return PCRLocalizer(backbone, head, size=size, bins=bins, mean=MEAN, std=STD, loss=PCRLoss(**loss)).eval()


def batch(*targets: Target, height: int = 48, width: int = 48) -> ImageBatch:
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (len(targets), 3, height, width), dtype=torch.uint8, generator=generator)
    return ImageBatch(images, targets)


MIXED = (target(3, (4, 4, 30, 40)), target(0), target(4, (0, 0, 16, 16), (20, 20, 48, 48)))


def test_a_box_is_learnt_relative_to_the_crops_centre_and_sides():
    """All deltas 0 say "the whole crop": the loss is then that of the targets alone."""
    model = localizer(box_weight=2.0, box_beta=1e-9)  # so small: the loss is the mean of |delta|
    with torch.no_grad():
        model.head.reg.weight.zero_()
        model.head.reg.bias.zero_()
    found = model(batch(target(3, (12, 0, 36, 48)), target(1)))["box"].item()
    # centre (24, 24) is the crop's; 24 wide of 48, 48 high of 48; the image without a box does not count
    assert found == pytest.approx(2.0 * math.log(2) / 4, rel=1e-5)
    found = model(batch(target(3, (0, 24, 24, 48)), target(1, (0, 0, 48, 24))))["box"].item()
    first = 0.25 + 0.25 + 2 * math.log(2)  # centre (12, 36): a quarter of 48 off along x and along y
    second = 0 + 0.25 + 0 + math.log(2)
    assert found == pytest.approx(2.0 * (first + second) / 8, rel=1e-5)


@pytest.mark.parametrize("bins", [1, 2])
def test_losses_are_those_of_the_slow_computation(bins):
    model = localizer(bins=bins, box_weight=0.5, class_weight=3.0, box_beta=0.2, label_smoothing=0.1)
    images = batch(*MIXED)
    found = model(images)
    maps = model.features(images.images)
    logits = model.backbone.fc(maps["conv5"].mean((2, 3)))
    expected = functional.cross_entropy(logits, images.labels, label_smoothing=0.1).item()
    assert found["class"].item() == pytest.approx(3.0 * expected, rel=1e-5)
    total = 0.0
    for b, label, (x1, y1, x2, y2) in ((0, 3, (4, 4, 30, 40)), (2, 4, (20, 20, 48, 48))):  # the larger of two
        pooled = functional.adaptive_avg_pool2d(maps["conv5"][b], bins).flatten()
        hidden = (model.head.neck.weight @ pooled + model.head.neck.bias).clamp(min=0)
        rows = slice(4 * label, 4 * label + 4)
        deltas = (model.head.reg.weight[rows] @ hidden + model.head.reg.bias[rows]).tolist()
        wanted = ((x1 + x2) / 96 - 0.5, (y1 + y2) / 96 - 0.5, math.log((x2 - x1) / 48), math.log((y2 - y1) / 48))
        for d, t in zip(deltas, wanted, strict=True):
            far = abs(d - t)
            total += 0.5 * far**2 / 0.2 if far < 0.2 else far - 0.1
    assert found["box"].item() == pytest.approx(0.5 * total / 8, rel=1e-4)


def test_only_the_true_classs_four_rows_learn_from_an_image():
    model = localizer()
    sum(model(batch(*MIXED)).values()).backward()
    learning = model.head.reg.weight.grad.view(CLASSES, -1).any(1)
    assert learning.nonzero()[:, 0].tolist() == [3, 4]  # the image of class 0 has no box
    assert model.head.reg.bias.grad.view(CLASSES, 4)[3].all()


def test_a_batch_without_boxes_trains_the_class_and_leaves_no_parameter_out():
    model = localizer()
    losses = model(batch(target(1), target(2)))
    assert losses["box"].item() == 0
    sum(losses.values()).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    assert not model.head.reg.weight.grad.any()
    assert model.backbone.conv1.weight.grad.any()


def test_class_weight_of_zero_leaves_the_classifier_alone():
    model = localizer(class_weight=0.0)
    losses = model(batch(*MIXED))
    assert set(losses) == {"box"}
    losses["box"].backward()
    assert model.backbone.fc.weight.grad is None


def test_crops_of_another_size_than_the_test_crop_are_learnt_from_whole():
    model = localizer(size=48, box_beta=1e-9)
    with torch.no_grad():
        model.head.reg.weight.zero_()
        model.head.reg.bias.zero_()
    for side in (32, 64):  # progressive crops; a box of the whole crop is no distance away
        assert model(batch(target(1, (0, 0, side, side)), height=side, width=side))["box"].item() == 0


def test_classifier_of_the_backbone_is_kept_to_the_number():
    model = localizer()
    images = batch(*MIXED).images
    classifier = Classifier(model.backbone, MEAN, STD).eval()
    assert torch.equal(model.logits(images), classifier.logits(images))
    assert torch.equal(model.class_logits(model.features(images)), classifier.logits(images))


@pytest.mark.parametrize("bins", [1, 3])
def test_of_one_crop_there_is_one_box_a_class_with_the_classs_probability(bins):
    model = localizer(bins=bins)
    images = batch(*MIXED)
    classes = torch.tensor([[3, 1], [0, 2], [4, 4]])
    scores, boxes = model.boxes(model.features(images.images), classes)
    assert (scores.shape, boxes.shape) == ((3, 2, 1), (3, 2, 1, 4))
    probabilities = model.logits(images.images).softmax(1)
    torch.testing.assert_close(scores[:, :, 0], probabilities.gather(1, classes))
    pooled = functional.adaptive_avg_pool2d(model.features(images.images)["conv5"], bins).flatten(1)
    tx, ty, tw, th = model.head.all_classes(model.head(pooled))[1, 2].tolist()  # image 1, its second class
    x, y, w, h = 24 + 48 * tx, 24 + 48 * ty, 48 * math.exp(tw), 48 * math.exp(th)
    assert boxes[1, 1, 0].tolist() == pytest.approx([x - w / 2, y - h / 2, x + w / 2, y + h / 2], rel=1e-4, abs=1e-3)


@pytest.mark.parametrize(("height", "width", "places"), [(64, 96, 8), (48, 48, 1), (32, 80, 3), (16, 16, 1)])
def test_dense_answers_are_those_of_every_window_of_the_map_alone(height, width, places):
    model = localizer(bins=2)
    images = batch(target(0), target(1), height=height, width=width)
    conv5 = model.features(images.images)["conv5"]
    classes = torch.tensor([[3, 1, 0], [4, 2, 2]])
    scores, boxes = model.boxes({"conv5": conv5}, classes)
    assert scores.shape == (2, 3, places)
    tall, broad = min(3, height // 16), min(3, width // 16)  # cells of a 48-pixel crop, or all there are
    place = 0
    for y in range(height // 16 - tall + 1):
        for x in range(width // 16 - broad + 1):
            window = conv5[:, :, y : y + tall, x : x + broad]
            alone, of_window = model.boxes({"conv5": window}, classes)
            torch.testing.assert_close(scores[:, :, place : place + 1], alone)
            moved = of_window + 16.0 * torch.tensor([x, y, x, y])
            torch.testing.assert_close(boxes[:, :, place : place + 1], moved, rtol=1e-4, atol=1e-3)
            place += 1
    assert place == places


def test_autocast_to_bfloat16_gives_float32_losses_near_those_without():
    model = localizer()
    images = batch(*MIXED)
    expected = model(images)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(images)
        scores, boxes = model.boxes(model.features(images.images), images.labels[:, None])
    for name, loss in found.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected[name], rtol=0.1, atol=0.05)
    assert (scores.dtype, boxes.dtype) == (torch.float32, torch.float32)
    sum(found.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    "box", [(10, 10, 11, 11), (0, 0, 48, 48), (5, 5, 5, 5), (9, 9, 3, 3), (60, 60, 90, 90)],
    ids=["one pixel", "everything", "empty", "upside down", "outside"],
)  # fmt: skip
def test_strange_boxes_give_finite_losses_and_gradients(box):
    model = localizer()
    losses = model(batch(target(2, box), target(1, (4, 4, 30, 40))))
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(("bins", "share"), [(1, True), (3, False)])
def test_learns_the_boxes_of_its_own_training_images(bins, share):
    model = localizer(bins=bins)
    model.head = PerClassBox(64 * bins**2, 32, CLASSES, share_classes=share)  # as training begins
    images = rectangles()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for _ in range(40):
        optimizer.zero_grad()
        sum(model.train()(images).values()).backward()
        optimizer.step()
    with torch.no_grad():  # batch norm as in training: its running statistics have not caught up with 40 steps
        maps = model.features(images.images)
        assert model.class_logits(maps).argmax(1).tolist() == [0, 1, 2]
        _, boxes = model.boxes(maps, images.labels[:, None])
    for i, truth in enumerate(images.targets):
        x1, y1, x2, y2 = boxes[i, 0, 0].tolist()
        a1, b1, a2, b2 = truth.boxes[0].tolist()
        shared = max(0, min(x2, a2) - max(x1, a1)) * max(0, min(y2, b2) - max(y1, b1))
        iou = shared / ((x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - shared)
        assert iou >= 0.5, f"image {i}: {(x1, y1, x2, y2)} for {(a1, b1, a2, b2)}"
