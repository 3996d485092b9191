"""The detector's losses against a slow and obvious computation; images alone and in a batch."""

import math

import pytest
import torch
from tiny_faster_rcnn import CLASSES, MIXED, SIZES, alone, batch, check_alike_alone, detector, target

from resdet.models import detector_loss
from resdet.structures import ImageBatch

LOSSES = {"object", "proposal", "class", "box"}
# everything is drawn that can be: then nothing depends on chance
ALL = (
    "model.anchors_per_image=432",
    "model.anchor_positive=1",
    "model.regions_per_image=64",
    "model.region_positive=1",
)


def smooth(x, beta):
    return 0.5 * x**2 / beta if abs(x) < beta else abs(x) - 0.5 * beta


def deltas_between(box, anchor):
    (x1, y1, x2, y2), (a1, b1, a2, b2) = box, anchor
    w, h, wa, ha = x2 - x1, y2 - y1, a2 - a1, b2 - b1
    shift = ((x1 + x2 - a1 - a2) / 2 / wa, (y1 + y2 - b1 - b2) / 2 / ha)
    return (*shift, math.log(w / wa), math.log(h / ha))


@pytest.fixture
def drawn(monkeypatch):
    """What each ``forward`` samples, as it does: anchors' and regions' samples, and the anchors."""
    found = {}

    def spy(name):
        real = getattr(detector_loss, name)

        def call(first, *rest, **options):
            found[name] = real(first, *rest, **options)
            found[f"{name} of"] = first
            return found[name]

        monkeypatch.setattr(detector_loss, name, call)

    spy("assign_rpn")
    spy("sample_regions")
    return found


def slow_losses(model, images, drawn):
    """One image, one anchor or region, one number at a time, by Fast and Faster R-CNN's formulas."""
    how = model.loss
    sums = dict.fromkeys(LOSSES, 0.0)
    features = model.features(images.images, images.full_sizes)
    logits, deltas = (answer.tolist() for answer in model._anchors_say(features, images.full_sizes)[:2])
    anchors = drawn["assign_rpn of"].expand(len(images), -1, -1).tolist()
    sample = drawn["assign_rpn"]
    for b in range(len(images)):
        used = int((sample.label[b] >= 0).sum())
        columns = (sample.index[b].tolist(), sample.label[b].tolist(), sample.boxes[b].tolist())
        for place, label, box in zip(*columns, strict=True):
            if label == -1:
                continue
            p = 1 / (1 + math.exp(-logits[b][place]))
            sums["object"] -= math.log(p if label == 1 else 1 - p) / used
            if label == 1:
                wanted = deltas_between(box, anchors[b][place])
                far = (found - want for found, want in zip(deltas[b][place], wanted, strict=True))
                sums["proposal"] += sum(smooth(x, how.proposal_beta) for x in far) / used
    regions = drawn["sample_regions"]
    for b in range(len(images)):
        used = int((regions.label[b] >= 0).sum())
        for box, label, wanted in zip(*(c[b] for c in (regions.boxes, regions.label, regions.wanted)), strict=True):
            if label == -1:
                continue
            boxes = [box[None] if i == b else torch.zeros(0, 4) for i in range(len(images))]
            scores, moves = model.head(model.vectors(features, boxes, images.full_sizes))
            sums["class"] -= scores[0].log_softmax(0)[label].item() / used
            if label < CLASSES:
                units = (0.1, 0.1, 0.2, 0.2)
                wants = [d / u for d, u in zip(deltas_between(wanted.tolist(), box.tolist()), units, strict=True)]
                far = (found - want for found, want in zip(moves[0, label].tolist(), wants, strict=True))
                sums["box"] += sum(smooth(x, how.box_beta) for x in far) / used
    weights = {"object": how.object_weight, "proposal": how.proposal_weight}
    weights |= {"class": how.class_weight, "box": how.box_weight}
    return {name: weights[name] * value / len(images) for name, value in sums.items()}


@pytest.mark.parametrize(
    "words", [(), ("model.context=true", "model.pool=pool"), ("model.inside_anchors=true",)], ids=str
)
def test_losses_are_those_of_the_slow_computation(words, drawn):
    weights = ("model.object_weight=2", "model.proposal_weight=3", "model.class_weight=0.5", "model.box_weight=4")
    model = detector(*words, *weights, "model.proposal_beta=0.3", "model.box_beta=0.6")
    images = batch(*MIXED, sizes=SIZES)
    with torch.no_grad():
        found = model(images)
        expected = slow_losses(model, images, drawn)
    assert (drawn["assign_rpn"].label == 1).sum(1)[1] == 0
    assert ((drawn["sample_regions"].label < CLASSES) & (drawn["sample_regions"].label >= 0)).sum() >= 5
    assert {name: loss.item() for name, loss in found.items()} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("targets", [MIXED, (target(), target(), target())], ids=["some without", "none with objects"])
@pytest.mark.parametrize("context", ["false", "true"])
def test_every_parameter_that_learns_is_reached_with_objects_and_without(targets, context):
    model = detector(f"model.context={context}")
    losses = model(batch(*targets, sizes=SIZES))
    assert set(losses) == LOSSES
    assert all(loss.ndim == 0 and loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())
    sum(losses.values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert model.backbone.conv1.weight.grad.any()
    assert model.head.cls.weight.grad.any()
    has_objects = len(targets[0].boxes) > 0
    assert bool(model.head.reg.weight.grad.any()) == has_objects
    assert bool(model.rpn.reg.weight.grad.any()) == has_objects


def test_proposals_are_constants_to_the_rpn():
    model = detector()
    losses = model(batch(*MIXED, sizes=SIZES))
    (losses["class"] + losses["box"]).backward()
    assert all(p.grad is None or not p.grad.any() for p in model.rpn.parameters())


def test_a_batch_of_several_sizes_has_the_mean_of_the_images_own_losses_and_gradients():
    model = detector(*ALL)
    images = batch(*MIXED, sizes=SIZES)
    parts = []
    for i in range(3):
        losses = model(alone(images, i))
        sum(losses.values()).backward()
        parts.append({name: loss.item() for name, loss in losses.items()})
    apart = {name: p.grad / 3 for name, p in model.named_parameters()}
    model.zero_grad()
    losses = model(images)
    sum(losses.values()).backward()
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(sum(part[name] for part in parts) / 3, rel=1e-4), name
    for name, parameter in model.named_parameters():
        error = (parameter.grad - apart[name]).abs().max() / apart[name].abs().max()
        assert error < 1e-3, f"{name}: {error}"


@pytest.mark.parametrize("how", ["model.pool=align", "model.pool=pool", "model.pool_aligned=false"])
def test_regions_at_the_edge_are_the_same_alone_and_in_a_batch(how):
    model = detector(how, "model.pool_size=14")
    images = batch(*MIXED, sizes=SIZES)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        features = model.features(images.images, images.sizes)
        for i in range(3):
            width, height = images.sizes[i]
            one, other = torch.rand(2, 60, 2, generator=draw) * torch.tensor([width, height])
            boxes = torch.cat((torch.minimum(one, other), torch.maximum(one, other)), 1)
            boxes[:20, 2], boxes[20:40, 3] = width, height
            boxes[:10, 0], boxes[20:30, 1] = width - 1.5, height - 1.5
            image = alone(images, i)
            expected = model.pooled(model.features(image.images, image.sizes), [boxes], image.full_sizes)
            found = model.pooled(features, [boxes if j == i else torch.zeros(0, 4) for j in range(3)], images.sizes)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_an_image_has_the_same_detections_alone_and_in_a_batch():
    check_alike_alone(detector(), batch(*MIXED, sizes=SIZES))


def test_regions_boxes_are_moved_by_their_deltas_in_tenths_and_fifths_and_clipped():
    model = detector()
    torch.nn.init.zeros_(model.head.reg.weight)
    bias = torch.tensor([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 5 * math.log(2), 0.0], [0.0, 0.0, 5 * math.log(50), 0.0]])
    with torch.no_grad():
        model.head.reg.bias.copy_(bias.flatten())
        images = batch(target(), target(), sizes=((96, 64), (60, 64)))
        features = model.features(images.images, images.sizes)
        boxes = [torch.tensor([[20.0, 10.0, 40.0, 30.0]]), torch.tensor([[20.0, 10.0, 40.0, 30.0]] * 2)]
        (one_p, one), (two_p, two) = model.regions(features, boxes, images.sizes)
    assert (one_p.shape, two_p.shape) == ((1, 4), (2, 4))
    torch.testing.assert_close(two_p.sum(1), torch.ones(2))
    expected = torch.tensor([[22.0, 8, 42, 28], [10, 10, 50, 30], [0, 10, 96, 30]])
    torch.testing.assert_close(one[0], expected)
    expected[2, 2] = 60  # the second image's own edge
    torch.testing.assert_close(two[1], expected)


def test_images_without_proposals_have_no_regions_and_no_detections():
    model = detector()
    images = batch(target(), target())
    with torch.no_grad():
        features = model.features(images.images, images.sizes)
        for p, boxes in model.regions(features, [torch.zeros(0, 4)] * 2, images.sizes):
            assert (p.shape, boxes.shape) == ((0, 4), (0, 3, 4))
        torch.nn.init.constant_(model.rpn.reg.bias, -50.0)  # proposals of no size
        assert [len(found) for found in model.detect(images.images, images.sizes)] == [0, 0]


def test_context_is_the_whole_image_through_the_same_layers_behind_every_region():
    model = detector("model.context=true")
    images = batch(target(), target(), sizes=((96, 64), (70, 45)))
    boxes = [torch.tensor([[4.0, 4, 30, 30], [20, 20, 60, 60]]), torch.tensor([[5.0, 5, 40, 40]])]
    with torch.no_grad():
        features = model.features(images.images, images.sizes)
        vectors = model.vectors(features, boxes, images.sizes)
        own = model.pooled(features, boxes, images.sizes)
        each = [torch.tensor([[0.0, 0, 96, 64]]), torch.tensor([[0.0, 0, 70, 45]])]
        whole = model.pooled(features, each, images.sizes)
    assert vectors.shape == (3, 2 * own.shape[1])
    torch.testing.assert_close(vectors, torch.cat((own, whole[[0, 0, 1]]), 1))


def test_boxes_to_ignore_are_neither_objects_nor_background(drawn):
    model = detector(*ALL)
    everything = target((0, 0, 96, 64), ignored=[True])
    losses = model(batch(everything, target((10, 8, 45, 40), labels=[1])))
    labels = drawn["assign_rpn"].label[0]
    anchors = drawn["assign_rpn of"].expand(2, -1, -1)[0][drawn["assign_rpn"].index[0]]
    shared = (anchors[:, 2:].minimum(torch.tensor([96.0, 64])) - anchors[:, :2].clamp(min=0)).prod(1)
    assert (labels != 1).all()
    assert (shared[labels == 0] < 0.5 * (anchors[:, 2:] - anchors[:, :2]).prod(1)[labels == 0]).all()
    assert (drawn["sample_regions"].label[0] == -1).all()  # clipped proposals are all within it
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_strange_boxes_give_finite_losses_and_gradients():
    model = detector()
    boxes = [(10, 10, 11, 11), (95, 63, 96, 64), (0, 0, 96, 64), (5, 5, 5, 5), (30, 30, 20, 20)]
    losses = model(batch(*(target(box) for box in boxes)))
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_autocast_gives_float32_boxes_and_losses_near_those_without():
    model = detector(*ALL)
    images = batch(*MIXED, sizes=SIZES)
    expected = model(images)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(images)
        proposals = model.propose(model.features(images.images, images.sizes), images.sizes)
        detections = model.detect(images.images, images.sizes)
    for name in ("object", "class"):
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name], expected[name], rtol=0.1, atol=0.05)
    assert {proposals[0].boxes.dtype, detections[0].boxes.dtype, detections[0].scores.dtype} == {torch.float32}
    sum(found.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_batchs_own_proposals_are_what_regions_are_drawn_from(drawn):
    model = detector(*ALL)
    given = (torch.tensor([[11.0, 9, 44, 41], [60, 30, 90, 60]]), torch.zeros(0, 4))
    images = batch(MIXED[0], MIXED[1])
    model(ImageBatch(images.images, images.targets, images.indices, images.sizes, given))
    regions = drawn["sample_regions"]
    used = [regions.boxes[i][regions.label[i] >= 0].tolist() for i in range(2)]
    assert sorted(used[0]) == [[10, 8, 45, 40], [11, 9, 44, 41], [60, 30, 90, 60]]
    assert used[1] == []
    assert sorted(regions.label[0].tolist())[-3:] == [1, 1, 3]


@pytest.mark.parametrize("words", [(), ("model.pool=pool", "model.context=true")], ids=["align", "pool, context"])
def test_in_double_it_finds_and_learns_what_it_does_in_float32(words):
    images = batch(*MIXED, sizes=SIZES)
    plain, double = detector(*words), detector(*words).double()
    for one, other in zip(plain.detect(images.images, SIZES), double.detect(images.images, SIZES), strict=True):
        torch.testing.assert_close(one.boxes, other.boxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(one.labels, other.labels)
    losses = []
    for model in (plain.train(), double.train()):
        torch.manual_seed(0)
        losses.append({name: loss.item() for name, loss in model(images).items()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
