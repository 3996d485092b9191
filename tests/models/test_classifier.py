import math

import pytest
import torch
from torch.nn import functional

from resdet.backbones import CifarResNet, ResNet
from resdet.models.classifier import Classifier, mix
from resdet.structures import ImageBatch, Target

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)


@pytest.fixture(scope="module")
def model() -> Classifier:
    torch.manual_seed(0)
    return Classifier(ResNet(18, 7, stem="3x3-pool"), MEAN, STD).eval()


def batch(labels: list[int], side: int = 32) -> ImageBatch:
    images = torch.randint(0, 256, (len(labels), 3, side, side), dtype=torch.uint8)
    none = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    return ImageBatch(images, tuple(Target(label, *none) for label in labels))


def test_loss_is_the_mean_of_minus_the_log_probability_of_the_true_class(model):
    images = batch([3, 0, 6])
    x = (images.images.float() - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    probabilities = model.backbone(x).softmax(1).tolist()
    expected = -sum(math.log(probabilities[i][t]) for i, t in enumerate((3, 0, 6))) / 3
    assert model(images)["class"].item() == pytest.approx(expected, rel=1e-5)


def test_the_share_of_wrong_answers_is_measured_in_percent_and_has_no_gradient(model):
    images = batch([3, 0, 6, 1])
    answers = model.logits(images.images).argmax(1).tolist()
    found = model(images)
    assert found["batch/top1_error"].item() == 25 * sum(a != t for a, t in zip(answers, (3, 0, 6, 1), strict=True))
    assert found["class"].requires_grad
    assert not found["batch/top1_error"].requires_grad


def test_label_smoothing_is_a_share_of_the_loss_over_all_classes(model):
    images = batch([3, 0])
    smooth = Classifier(model.backbone, MEAN, STD, label_smoothing=0.1).eval()
    log_probabilities = model.logits(images.images).log_softmax(1)
    expected = 0.9 * functional.nll_loss(log_probabilities, torch.tensor([3, 0])) - 0.1 * log_probabilities.mean()
    torch.testing.assert_close(smooth(images)["class"], expected)


def test_mixing_is_the_weighted_mean_of_pairs_and_follows_from_the_seed():
    images = torch.rand(6, 3, 4, 4)
    torch.manual_seed(5)
    mixed, partner, share = mix(images, 0.4)
    assert sorted(partner.tolist()) == list(range(6))
    assert 0 < share < 1
    for i in range(6):
        torch.testing.assert_close(mixed[i], share * images[i] + (1 - share) * images[partner[i]])
    torch.manual_seed(5)
    again = mix(images, 0.4)
    assert torch.equal(again[0], mixed)
    assert again[2] == share
    assert mix(images, 0.4)[2] != share


def test_shares_of_mixing_have_the_moments_of_beta():
    torch.manual_seed(0)
    one = torch.zeros(1, 3, 1, 1)
    shares = torch.tensor([mix(one, 0.5)[2] for _ in range(2000)])
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * 0.5 + 1)), abs=0.01)


def test_a_mixed_batch_has_the_cross_entropy_of_its_soft_targets(model):
    images = batch([3, 0, 6, 2])
    net = Classifier(model.backbone, MEAN, STD, label_smoothing=0.1, mixup=0.5).train()
    torch.manual_seed(3)
    found = net(images)
    torch.manual_seed(3)
    x = (images.images.float() - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    mixed, partner, share = mix(x, 0.5)
    logits = net.backbone(mixed)
    hot = functional.one_hot(images.labels, 7).float()
    soft = 0.9 * (share * hot + (1 - share) * hot[partner]) + 0.1 / 7
    torch.testing.assert_close(found["class"], -(soft * logits.log_softmax(1)).sum(1).mean())
    heavier = images.labels if share > 0.5 else images.labels[partner]
    assert found["batch/top1_error"].item() == 25 * (logits.argmax(1) != heavier).sum().item()
    model.eval()


def test_outside_training_nothing_is_mixed(model):
    images = batch([3, 0])
    net = Classifier(model.backbone, MEAN, STD, mixup=0.5).eval()
    torch.testing.assert_close(net(images)["class"], model(images)["class"])


def test_probabilities_are_float32_and_sum_to_one_under_autocast_too(model):
    images = batch([0, 0]).images
    expected = model.classify(images)
    torch.testing.assert_close(expected.sum(1), torch.ones(2))
    with torch.autocast("cpu", torch.bfloat16):
        found = model.classify(images)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0.05)  # bfloat16 through 18 layers


@pytest.mark.parametrize("net", [ResNet(18, 7, width=8), CifarResNet(20, 7)], ids=["ResNet", "for CIFAR"])
def test_of_a_half_precision_map_classes_are_ranked_with_all_digits(net):
    conv5 = torch.rand(5, 64, 3, 3).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = net.classify(conv5)
    assert torch.equal(found, net.classify(conv5.float()))
    assert found.dtype == torch.float32


def test_state_dict_is_the_backbones_alone(model):
    assert set(model.state_dict()) == {f"backbone.{name}" for name in model.backbone.state_dict()}


def test_images_of_any_size_are_taken(model):
    assert model.logits(batch([0], side=45).images).shape == (1, 7)


def test_a_mean_for_every_pixel_is_subtracted_saved_and_stretched(model):
    mean = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255
    net = Classifier(model.backbone, mean, STD).eval()
    images = batch([1, 2]).images
    x = (images.float() - mean) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(net.logits(images), model.backbone(x))
    assert (net.state_dict()["mean"] == mean).all()
    assert "mean" not in model.state_dict()

    blocks = mean.reshape(3, 16, 2, 16, 2).mean((2, 4))  # half as large, bilinear between four pixels is their mean
    small = batch([1, 2], side=16).images
    x = (small.float() - blocks) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(net.logits(small), model.backbone(x))


def test_a_mean_for_every_pixel_that_is_everywhere_the_same_is_the_channels_mean(model):
    even = torch.tensor(MEAN)[:, None, None].expand(3, 24, 24)
    net = Classifier(model.backbone, even, STD).eval()
    for side in (24, 32):
        images = batch([0, 1], side).images
        torch.testing.assert_close(net.logits(images), model.logits(images))
