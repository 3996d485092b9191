"""ResNets against torchvision's (the same logits from the same weights) and against the paper's Table 1."""

import pytest
import torch
import torchvision
from parameter_count import total_parameters
from torch import nn

from resdet.backbones.resnet import BLOCKS, ResNet

DEPTHS = sorted(BLOCKS)
PARAMETERS = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}  # option B
MULTIPLY_ADDS = {18: 1.814e9, 34: 3.664e9, 50: 3.858e9, 101: 7.570e9, 152: 11.282e9}  # Table 1: 1.8 3.6 3.8 7.6 11.3
MULTIPLY_ADDS_3X3 = {50: 4.089e9, 101: 7.801e9, 152: 11.514e9}  # with torchvision's stride


def randomise(net: nn.Module) -> nn.Module:
    """Weights of a realistic size, and batch norm as after training: every channel different."""
    for name, module in net.to_empty(device="cpu").named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = (6 / module.weight[0].numel()) ** 0.5  # He's
            nn.init.uniform_(module.weight, -bound, bound)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, *((0.1, 0.4) if name[-1] == "3" else (0.5, 1.5)))  # deep sums stay small
            nn.init.normal_(module.bias, std=0.2)
            module.num_batches_tracked.fill_(7)
    nn.init.normal_(net.fc.bias)
    return net


def torchvision_net(depth: int, classes: int = 1000, **options) -> nn.Module:
    torch.manual_seed(depth)
    with torch.device("meta"):  # its own initialisation takes seconds
        net = getattr(torchvision.models, f"resnet{depth}")(num_classes=classes, **options)
    return randomise(net).eval()


def our_net(theirs: nn.Module, depth: int, classes: int = 1000, **options) -> ResNet:
    """Ours with the very tensors of theirs; strict: the same names and shapes."""
    with torch.device("meta"):
        net = ResNet(depth, classes, **options)
    net.load_state_dict(theirs.state_dict(), assign=True)
    return net.eval()


def multiply_adds(net: nn.Module, size: int) -> int:
    """One for every product that a convolution or linear layer adds up, for one image, counted as it runs."""
    counted = []

    def count(module: nn.Module, _inputs: tuple, output: torch.Tensor) -> None:
        products = module.weight[0].numel()  # for one output number
        counted.append(products * output[0].numel())

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    net(torch.zeros(1, 3, size, size, device="meta"))
    return sum(counted)


def on_meta(depth: int, **options) -> ResNet:
    """A network without memory, for its shapes."""
    with torch.device("meta"):
        return ResNet(depth, 1000, **options).eval()


@pytest.mark.parametrize("depth", DEPTHS)
def test_logits_equal_torchvisions_from_its_state_dict(depth):
    theirs = torchvision_net(depth)
    ours = our_net(theirs, depth, stride_in="3x3")
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = theirs(images)
        actual = ours(images)
    assert expected.std() > 0.05, "the comparison would show nothing"
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


def test_training_mode_gives_torchvisions_gradients_too():
    theirs = torchvision_net(18, classes=7).double().train()
    ours = our_net(theirs, 18, 7).requires_grad_().train()
    images = torch.randn(3, 3, 48, 48, dtype=torch.float64)
    for net in (theirs, ours):
        net(images).square().sum().backward()
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    torch.testing.assert_close({name: p.grad for name, p in ours.named_parameters()}, expected)


@pytest.mark.parametrize("depth", DEPTHS)
def test_parameters_are_counted_to_the_unit(depth):
    assert total_parameters(on_meta(depth)) == PARAMETERS[depth]


@pytest.mark.parametrize("depth", DEPTHS)
def test_multiply_adds_are_the_papers_with_the_stride_on_the_first_1x1(depth):
    assert multiply_adds(on_meta(depth), 224) == pytest.approx(MULTIPLY_ADDS[depth], abs=0.0006e9)


@pytest.mark.parametrize("depth", sorted(MULTIPLY_ADDS_3X3))
def test_the_stride_on_the_3x3_costs_more_than_the_paper_says(depth):
    assert multiply_adds(on_meta(depth, stride_in="3x3"), 224) == pytest.approx(MULTIPLY_ADDS_3X3[depth], abs=0.0006e9)


def test_stride_in_moves_the_stride_within_the_bottleneck_and_nothing_else():
    for stride_in, strides in (("1x1", ((2, 2), (1, 1))), ("3x3", ((1, 1), (2, 2)))):
        block = on_meta(50, stride_in=stride_in).layer3[0]
        assert (block.conv1.stride, block.conv2.stride) == strides
        assert block.downsample[0].stride == (2, 2)
    first, second = on_meta(50, stride_in="1x1"), on_meta(50, stride_in="3x3")
    assert {k: v.shape for k, v in first.state_dict().items()} == {k: v.shape for k, v in second.state_dict().items()}


def test_stride_in_means_nothing_to_basic_blocks():
    assert multiply_adds(on_meta(18, stride_in="3x3"), 224) == multiply_adds(on_meta(18), 224)


@pytest.mark.parametrize(("stem", "stride"), [("7x7", 32), ("3x3-pool", 16), ("3x3", 8)])
@pytest.mark.parametrize("size", [64, 72])
def test_each_stem_has_its_stride(stem, stride, size):
    net = on_meta(18, stem=stem)
    maps = net.features(torch.zeros(2, 3, size, size, device="meta"))
    sides = {"conv4": -(-size // (stride // 2)), "conv5": -(-size // stride)}  # padding rounds up
    assert {name: tuple(m.shape) for name, m in maps.items()} == {
        "conv4": (2, 256, sides["conv4"], sides["conv4"]),
        "conv5": (2, 512, sides["conv5"], sides["conv5"]),
    }
    assert net.strides == {"conv4": stride // 2, "conv5": stride}
    assert net.channels == {"conv4": 256, "conv5": 512}


@pytest.mark.parametrize("depth", [18, 50])
def test_dilated_conv5_keeps_conv4s_resolution_and_every_parameter(depth):
    plain, dilated = on_meta(depth), on_meta(depth, dilate_conv5=True)
    assert {k: v.shape for k, v in dilated.state_dict().items()} == {k: v.shape for k, v in plain.state_dict().items()}
    assert dilated.strides == {"conv4": 16, "conv5": 16}
    maps = dilated.features(torch.zeros(1, 3, 224, 224, device="meta"))
    assert maps["conv5"].shape[-2:] == maps["conv4"].shape[-2:] == (14, 14)


def test_dilated_conv5_is_torchvisions_replaced_stride():
    theirs = torchvision_net(50, 5, replace_stride_with_dilation=[False, False, True])
    ours = our_net(theirs, 50, 5, stride_in="3x3", dilate_conv5=True)
    images = torch.randn(1, 3, 96, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-5, rtol=0)


def test_an_unknown_depth_stem_or_stride_is_named():
    with pytest.raises(ValueError, match="depth must be one of 18, 34, 50, 101, 152, got 20"):
        ResNet(20, 10)
    with pytest.raises(ValueError, match="stem must be one of 7x7, 3x3, 3x3-pool, got '5x5'"):
        ResNet(18, 10, stem="5x5")
    with pytest.raises(ValueError, match="stride_in must be one of 1x1, 3x3, got '7x7'"):
        ResNet(50, 10, stride_in="7x7")


def test_the_trunk_ends_at_conv4_and_maps_are_every_resolution():
    torch.manual_seed(0)
    net = ResNet(18, 3, width=8).eval()
    images = torch.randn(2, 3, 70, 96)
    maps = net.maps(images)
    assert {name: tuple(m.shape[1:]) for name, m in maps.items()} == {
        "conv2": (8, 18, 24), "conv3": (16, 9, 12), "conv4": (32, 5, 6), "conv5": (64, 3, 3),
    }  # fmt: skip
    reached = []
    net.layer4.register_forward_hook(lambda *_: reached.append(True))
    torch.testing.assert_close(net.trunk(images), maps["conv4"])
    assert not reached, "conv5 of the whole image is a third of the work, for nothing"
    torch.testing.assert_close(net.conv5(maps["conv4"]), net.features(images)["conv5"])
