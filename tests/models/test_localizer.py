"""The localizer's losses against a slow and obvious computation, on every feature map; and that it can learn."""

import math

import pytest
import torch
from coloured_rectangles import rectangles, target

from resdet.backbones.resnet import ResNet
from resdet.heads.per_class_rpn import PerClassRPN
from resdet.models.classifier import Classifier
from resdet.models.localizer import Localizer, LocalizerLoss
from resdet.structures import ImageBatch, Target
from resdet.targets import assign

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)
SIZES, RATIOS, CLASSES = (16.0, 32.0), (0.5, 1.0, 2.0), 5
LOSSES = {"object", "box", "class"}


def localizer(feature: str = "conv5", *, dilate: bool = False, stem: str = "3x3-pool", **loss) -> Localizer:
    torch.manual_seed(0)
    backbone = ResNet(18, CLASSES, stem=stem, dilate_conv5=dilate)
    rpn = PerClassRPN(backbone.channels[feature], 16, len(SIZES) * len(RATIOS), CLASSES)
    torch.nn.init.normal_(rpn.cls.weight, std=0.3)  # untrained answers that are far from alike
    torch.nn.init.normal_(rpn.reg.weight, std=0.3)
    options = {"feature": feature, "anchor_sizes": SIZES, "anchor_ratios": RATIOS, "mean": MEAN, "std": STD}
    return Localizer(backbone, rpn, **options, loss=LocalizerLoss(**loss)).eval()


def batch(*targets: Target, side: int = 48) -> ImageBatch:
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (len(targets), 3, side, side), dtype=torch.uint8, generator=generator)
    return ImageBatch(images, targets)


MIXED = (
    target(3, (4, 4, 30, 40)),
    target(0),
    target(4, (0, 0, 16, 16), (20, 20, 48, 48)),
    target(3, (10, 10, 12, 40)),
)


def slow_losses(model: Localizer, images: ImageBatch, sample: assign.AnchorSample) -> dict[str, float]:
    """One image, one anchor, one number at a time, by the formulas of Faster R-CNN, from the plain convolutions."""
    how = model.loss
    maps = model.features(images.images)
    hidden = model.rpn(maps[model.feature])
    scores, deltas = model.rpn.cls(hidden).tolist(), model.rpn.reg(hidden).tolist()
    _, _, height, width = hidden.shape
    stride = images.images.shape[-1] / width
    assert stride == images.images.shape[-2] / height
    shapes = [(size / ratio**0.5, size * ratio**0.5) for size in SIZES for ratio in RATIOS]
    object_sum = box_sum = 0.0
    answered = objects = 0
    for b, found in enumerate(images.targets):
        for place, label, box in zip(
            *(part[b].tolist() for part in (sample.index, sample.label, sample.boxes)), strict=True
        ):
            if label == -1:
                continue
            cell, a = divmod(place, len(shapes))
            y, x = divmod(cell, width)
            answered += 1
            for c in range(CLASSES) if how.class_loss == "all" else [found.label]:
                p = 1 / (1 + math.exp(-scores[b][a * CLASSES + c][y][x]))
                object_sum -= math.log(p if label == 1 and c == found.label else 1 - p)
            if label == 1:
                objects += 1
                (w, h), xa, ya = shapes[a], (x + 0.5) * stride, (y + 0.5) * stride
                x1, y1, x2, y2 = box
                wanted = (
                    ((x1 + x2) / 2 - xa) / w,
                    ((y1 + y2) / 2 - ya) / h,
                    math.log((x2 - x1) / w),
                    math.log((y2 - y1) / h),
                )
                for j, t in enumerate(wanted):
                    far = abs(deltas[b][(a * CLASSES + found.label) * 4 + j][y][x] - t)
                    box_sum += 0.5 * far**2 / how.box_beta if far < how.box_beta else far - 0.5 * how.box_beta
    logits = model.backbone.fc(maps["conv5"].mean((2, 3)))
    right = logits.log_softmax(1)[torch.arange(len(images)), images.labels]
    return {
        "object": how.object_weight * object_sum / max(answered, 1),
        "box": how.box_weight * box_sum / max(4 * objects, 1),
        "class": how.class_weight * -right.mean().item(),
    }


@pytest.fixture
def drawn(monkeypatch) -> list[assign.AnchorSample]:
    """The anchors that each ``forward`` draws, as it draws them."""
    from resdet.models import localizer as module

    found: list[assign.AnchorSample] = []

    def spy(*args):
        found.append(assign.assign_anchors(*args))
        return found[-1]

    monkeypatch.setattr(module, "assign_anchors", spy)
    return found


def test_anchors_are_drawn_as_many_and_by_the_overlaps_that_were_asked_for():
    images = batch(*MIXED)
    drawn = []
    for how in ((8, 0.7, 0.3), (12, 0.4, 0.1)):
        model = localizer(**dict(zip(("anchors_per_image", "positive_iou", "negative_iou"), how, strict=True)))
        anchors = model.anchors(model.features(images.images)["conv5"])
        torch.manual_seed(1)
        found = model._sample(anchors, images)
        torch.manual_seed(1)
        torch.testing.assert_close(found.label, assign.assign_anchors(anchors, images.targets, *how).label)
        drawn.append((found.label.shape[1], int((found.label == 1).sum())))
    assert drawn[0][0] == 8 and drawn[1][0] == 12 and drawn[0][1] < drawn[1][1]


@pytest.mark.parametrize("class_loss", ["true", "all"])
@pytest.mark.parametrize(
    ("feature", "dilate", "stem"),
    [("conv5", False, "3x3-pool"), ("conv4", False, "7x7"), ("conv5", True, "3x3-pool")],
    ids=["conv5", "conv4", "dilated conv5"],
)
def test_losses_are_those_of_the_slow_computation(feature, dilate, stem, class_loss, drawn):
    weights = {"object_weight": 2.0, "box_weight": 0.5, "class_weight": 3.0, "box_beta": 0.3}
    model = localizer(feature, dilate=dilate, stem=stem, class_loss=class_loss, **weights)
    images = batch(*MIXED)
    found = model(images)
    assert set(found) == LOSSES
    kinds = drawn[0].label
    assert (kinds == 1).sum(1).tolist()[1] == 0
    assert (kinds == 1).sum() >= 3
    expected = slow_losses(model, images, drawn[0])
    assert {name: loss.item() for name, loss in found.items()} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("class_loss", ["true", "all"])
def test_slots_left_over_count_for_nothing(class_loss, drawn):
    model = localizer(class_loss=class_loss, anchors_per_image=80)  # of 9 cells with 6 anchors each
    images = batch(*MIXED)
    found = model(images)
    assert (drawn[0].label == -1).any(1).all()
    assert {name: loss.item() for name, loss in found.items()} == pytest.approx(
        slow_losses(model, images, drawn[0]), rel=1e-4
    )


@pytest.mark.parametrize(
    ("feature", "dilate", "stem", "stride"),
    [
        ("conv5", False, "7x7", 32), ("conv5", True, "7x7", 16), ("conv4", False, "7x7", 16),
        ("conv5", False, "3x3-pool", 16), ("conv4", False, "3x3", 4), ("conv5", False, "3x3", 8),
    ],
)  # fmt: skip
def test_anchors_cover_the_image_on_every_feature_map(feature, dilate, stem, stride):
    model = localizer(feature, dilate=dilate, stem=stem)
    maps = model.features(batch(MIXED[0], side=64).images)
    assert maps[feature].shape[-1] == 64 // stride
    anchors = model.anchors(maps[feature])
    assert anchors.shape == ((64 // stride) ** 2 * 6, 4)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    torch.testing.assert_close(centres.amin(0), torch.full((2,), stride / 2))
    torch.testing.assert_close(centres.amax(0), torch.full((2,), 64 - stride / 2))


def test_classifier_of_the_backbone_is_kept_to_the_number():
    model = localizer()
    images = batch(*MIXED)
    classifier = Classifier(model.backbone, MEAN, STD).eval()
    assert torch.equal(model.logits(images.images), classifier.logits(images.images))
    assert torch.equal(model.class_logits(model.features(images.images)), classifier.logits(images.images))
    torch.testing.assert_close(model(images)["class"], classifier(images)["class"])


def test_boxes_are_anchors_moved_by_the_deltas_of_the_class_asked_about():
    model = localizer()
    images = batch(*MIXED)
    classes = torch.tensor([[3, 1], [0, 2], [4, 4], [2, 3]])
    maps = model.features(images.images)
    scores, boxes = model.boxes(maps, classes)
    assert scores.shape == (4, 2, 54)
    assert boxes.shape == (4, 2, 54, 4)
    hidden = model.rpn(maps["conv5"])
    logits, deltas = model.rpn.all_classes(hidden)
    place, b, k = 31, 3, 1  # cell 5 of 3 x 3: row 1, column 2; shape 1: 16 x 16
    assert scores[b, k, place].item() == pytest.approx(1 / (1 + math.exp(-logits[b, place, 3].item())), rel=1e-5)
    tx, ty, tw, th = deltas[b, place, 3].tolist()
    x, y, w, h = 40 + 16 * tx, 24 + 16 * ty, 16 * math.exp(tw), 16 * math.exp(th)
    expected = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    assert boxes[b, k, place].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-3)


def gradients_after(model: Localizer, images: ImageBatch) -> dict[str, torch.Tensor | None]:
    losses = model(images)
    assert all(loss.isfinite() and loss.ndim == 0 for loss in losses.values()), losses
    sum(losses.values()).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("class_loss", ["true", "all"])
def test_batch_without_boxes_trains_background_and_class_and_leaves_no_parameter_out(class_loss):
    model = localizer(class_loss=class_loss)
    found = gradients_after(model, batch(target(1), target(2)))
    assert [name for name, gradient in found.items() if gradient is None] == []
    assert not found["rpn.reg.weight"].any()
    assert found["rpn.cls.weight"].any()
    assert found["backbone.conv1.weight"].any()
    assert model(batch(target(1), target(2)))["box"].item() == 0


def test_only_the_true_classs_rows_learn_by_default_and_all_by_option():
    for class_loss, learning in (("true", {3, 4}), ("all", {0, 1, 2, 3, 4})):
        found = gradients_after(localizer(class_loss=class_loss), batch(MIXED[0], MIXED[2]))
        rows = found["rpn.cls.weight"].view(6, CLASSES, -1).abs().amax((0, 2))
        assert {c for c in range(CLASSES) if rows[c] > 0} == learning
        rows = found["rpn.reg.weight"].view(6, CLASSES, -1).abs().amax((0, 2))
        assert {c for c in range(CLASSES) if rows[c] > 0} == {3, 4}, "boxes are learnt for the true class alone"


def test_class_weight_of_zero_leaves_the_classifier_alone():
    model = localizer(class_weight=0.0)
    assert set(model(batch(*MIXED))) == {"object", "box"}
    assert gradients_after(model, batch(*MIXED))["backbone.fc.weight"] is None


@pytest.mark.parametrize(
    "boxes",
    [[(10, 10, 11, 11)], [(47, 47, 48, 48)], [(0, 0, 48, 48)], [(5, 5, 5, 5)], [(9, 9, 3, 3)], [(60, 60, 90, 90)]],
    ids=["one pixel", "in the corner", "everything", "empty", "upside down", "outside"],
)
@pytest.mark.parametrize("class_loss", ["true", "all"])
def test_strange_boxes_give_finite_losses_and_gradients(boxes, class_loss):
    found = gradients_after(localizer(class_loss=class_loss), batch(target(2, *boxes), target(1, (4, 4, 30, 40))))
    assert all(gradient.isfinite().all() for gradient in found.values())


def test_autocast_to_bfloat16_gives_float32_losses_near_those_without(drawn):
    model = localizer()
    images = batch(*MIXED)
    torch.manual_seed(5)
    expected = model(images)
    torch.manual_seed(5)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(images)
        scores, boxes = model.boxes(model.features(images.images), images.labels[:, None])
    assert torch.equal(drawn[0].index, drawn[1].index)
    for name in LOSSES:
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name], expected[name], rtol=0.1, atol=0.05)  # through 18 layers of 8 bits
    assert (scores.dtype, boxes.dtype) == (torch.float32, torch.float32)
    sum(found.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_unknown_class_loss_is_refused():
    with pytest.raises(ValueError, match="class_loss must be 'true' or 'all', got 'some'"):
        LocalizerLoss(class_loss="some")


@pytest.mark.parametrize(("class_loss", "share"), [("true", True), ("all", False)])
def test_learns_the_boxes_of_its_own_training_images(class_loss, share):
    torch.manual_seed(0)
    backbone = ResNet(18, 3, stem="7x7")
    rpn = PerClassRPN(256, 32, 6, 3, share_classes=share)
    model = Localizer(
        backbone, rpn, feature="conv4", anchor_sizes=SIZES, anchor_ratios=RATIOS, mean=MEAN, std=STD,
        loss=LocalizerLoss(class_loss=class_loss),
    )  # fmt: skip
    images = rectangles()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for _ in range(60):
        losses = model.train()(images)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    # batch norm as in training: its running statistics have not caught up with 60 steps of one batch
    with torch.no_grad():
        maps = model.features(images.images)
        assert model.class_logits(maps).argmax(1).tolist() == [0, 1, 2]
        scores, boxes = model.boxes(maps, images.labels[:, None])
    for i, truth in enumerate(images.targets):
        x1, y1, x2, y2 = boxes[i, 0, scores[i, 0].argmax()].tolist()
        a1, b1, a2, b2 = truth.boxes[0].tolist()
        shared = max(0, min(x2, a2) - max(x1, a1)) * max(0, min(y2, b2) - max(y1, b1))
        iou = shared / ((x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - shared)
        assert iou >= 0.5, f"image {i}: {(x1, y1, x2, y2)} for {(a1, b1, a2, b2)}"
