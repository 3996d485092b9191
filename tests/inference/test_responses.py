import pytest
import torch
from torch.nn import functional

from resdet.backbones.cifar import CifarResNet
from resdet.backbones.folding import fold_batch_norm
from resdet.backbones.resnet import ResNet
from resdet.errors import InputError
from resdet.inference.responses import layer_responses, normed_3x3
from resdet.models.classifier import Classifier
from resdet.structures import ImageBatch

CPU = torch.device("cpu")
MEAN, STD = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)


def classifier(shortcut):
    """Eight layers, batch norm away from the identity."""
    torch.manual_seed(0)
    net = CifarResNet(8, 3, shortcut=shortcut)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for value in (module.weight.data, module.bias.data, module.running_mean):
                value.normal_(0.5)
            module.running_var.uniform_(0.5, 2)
    return Classifier(net, MEAN, STD)


def images(count):
    return torch.randint(0, 256, (count, 3, 16, 16), generator=torch.Generator().manual_seed(count), dtype=torch.uint8)


def by_hand(net, x):
    """Every 3x3 layer's output after batch norm, one layer after another, with nothing but functions."""

    def norm(layer, y):
        scale = layer.weight / torch.sqrt(layer.running_var + layer.eps)
        shape = (1, -1, 1, 1)
        return (y - layer.running_mean.view(shape)) * scale.view(shape) + layer.bias.view(shape)

    found = [norm(net.bn1, functional.conv2d(x, net.conv1.weight, padding=1))]
    x = found[0].clamp(min=0)
    for stride, stage in ((1, net.layer1), (2, net.layer2), (2, net.layer3)):
        block = stage[0]
        first = norm(block.bn1, functional.conv2d(x, block.conv1.weight, stride=stride, padding=1))
        second = norm(block.bn2, functional.conv2d(first.clamp(min=0), block.conv2.weight, padding=1))
        found += [first, second]
        if block.shortcut == "A":
            small = x[:, :, ::stride, ::stride]
            second = second + functional.pad(small, (0, 0, 0, 0, 0, second.shape[1] - small.shape[1]))
        x = second.clamp(min=0)
    return found


@pytest.mark.parametrize("opened", [False, True], ids=["as trained", "batch norm folded, as opened to be run"])
@pytest.mark.parametrize("shortcut", ["A", "none"])
def test_responses_are_the_deviations_of_what_each_layer_gives_over_all_images(shortcut, opened):
    model = classifier(shortcut)
    batches = [ImageBatch(images(n)[:, :, :4, :4]) for n in (3, 2)]  # so few that one more or less would show
    pixels = torch.cat([batch.images for batch in batches]).float()
    x = (pixels - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    expected = [layer.std(correction=0).item() for layer in by_hand(model.backbone, x)]
    if opened:
        fold_batch_norm(model.eval())
    found = layer_responses(model, batches, CPU)
    assert list(found.values()) == pytest.approx(expected, rel=1e-4)
    assert list(found)[:3] == ["conv1", "layer1.0.conv1", "layer1.0.conv2"]


def test_every_3x3_layer_of_a_net_is_there_in_order_and_no_projection():
    names = list(normed_3x3(CifarResNet(20, 3, shortcut="B")))
    assert len(names) == 19  # the 20th is the classifier
    assert names == sorted(names, key=lambda n: (n != "conv1", n))
    assert list(normed_3x3(ResNet(50, 3)))[:2] == ["layer1.0.conv2", "layer1.1.conv2"]
    assert len(normed_3x3(ResNet(50, 3))) == 16
    assert len(normed_3x3(ResNet(18, 3, stem="3x3"))) == 17


def test_the_model_answers_as_before_and_keeps_no_hook():
    model = classifier("A").eval()
    before = model.logits(images(4))
    layer_responses(model.train(), [ImageBatch(images(3))], CPU)
    assert not model.training
    assert torch.equal(model.logits(images(4)), before)
    assert not any(module._forward_hooks for module in model.modules())


def test_no_images_give_no_deviation():
    with pytest.raises(InputError, match="no images"):
        layer_responses(classifier("A"), [], CPU)
