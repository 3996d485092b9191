"""conv5 of regions by the short way against the long one: cut conv4 with torchvision, then every layer a region."""

import pytest
import torch
import torchvision
from lively_norms import make_lively
from torch import nn

from resdet.backbones import ResNet
from resdet.backbones.folding import fold_batch_norm
from resdet.backbones.resnet import freeze_batch_norm
from resdet.heads import c4, entrance
from resdet.heads.c4 import C4

NETS = {
    "stride in the 1x1": {},
    "stride in the 3x3": {"stride_in": "3x3"},
    "dilated": {"dilate_conv5": True},
    "projections everywhere": {"shortcut": "C"},
}
OTHERS = {
    "zeros in the shortcut": {"shortcut": "A"},
    "plain": {"shortcut": "none"},
    "gated": {"shortcut": "gated"},
    "basic blocks": {"depth": 18},
}
SIZE, STRIDE = 14, 16


def network(depth=50, width=8, frozen=True, **options):
    torch.manual_seed(0)
    net = ResNet(depth, 1, width=width, **options)
    make_lively(net, most=1.0)
    net.train()
    if frozen:
        freeze_batch_norm(net)
    return net


def conv4_map(net, images=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(images, net.channels["conv4"], 9, 12, generator=generator).relu()


def regions(count=30):
    """Of two images, some over the edge, one outside, one that cannot be read."""
    generator = torch.Generator().manual_seed(2)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([170.0, 120.0]) - 10
    sides = torch.rand(count, 2, generator=generator) * 120 + 2
    rows = torch.cat((torch.arange(count)[:, None] % 2, corner, corner + sides), 1)
    return torch.cat((rows, torch.tensor([[0.0, 500, 500, 600, 600], [1, float("nan"), 0, 9, 9]])))


def the_long_way(net, conv4, rois):
    readable = rois.isfinite().all(1)
    cut = torchvision.ops.roi_align(conv4, rois.nan_to_num().to(conv4.dtype), SIZE, 1 / STRIDE, -1, aligned=True)
    cut = cut * readable[:, None, None, None]
    for block in net.layer4:
        y = block.relu(block.bn1(block.conv1(cut)))
        y = block.bn3(block.conv3(block.relu(block.bn2(block.conv2(y)))))
        cut = torch.relu(y + (cut if block.downsample is None else nn.Sequential.forward(block.downsample, cut)))
    return cut.mean((2, 3))


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.fixture
def short_ways(monkeypatch):
    """How often the entrance ran on the map."""
    calls = []

    def spy(*arguments):
        calls.append(1)
        return entrance.entered(*arguments)

    monkeypatch.setattr(c4, "entered", spy)
    return calls


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("options", NETS.values(), ids=NETS.keys())
def test_vectors_are_those_of_the_long_way(options, channels_last, short_ways):
    net = network(**options)
    neck = C4(net)
    conv4 = conv4_map(net)
    if channels_last:
        net, conv4 = net.to(memory_format=torch.channels_last), conv4.to(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = the_long_way(net, conv4, regions())
        close(neck.vectors(net, [conv4], regions()), expected)
        fold_batch_norm(net)
        close(neck.vectors(net, [conv4], regions()), expected)
    assert len(short_ways) == 2
    assert expected[-2:].std() > 0  # the offsets alone go through conv5 too


@pytest.mark.parametrize("options", NETS.values(), ids=NETS.keys())
def test_gradients_of_the_map_and_of_every_weight_are_those_of_the_long_way(options, short_ways):
    # float64: no sum near 0 that rounding moves to the other side of a ReLU
    net = network(**options).double()
    neck, conv4 = C4(net), conv4_map(net).double()
    slope = torch.randn(len(regions()), net.channels["conv5"], generator=torch.Generator().manual_seed(3))
    found = []
    for way in (lambda x: neck.vectors(net, [x], regions()), lambda x: the_long_way(net, x, regions())):
        net.zero_grad()
        x = conv4.clone().requires_grad_()
        (way(x) * slope).sum().backward()
        found.append({"map": x.grad, **{n: p.grad for n, p in net.layer4.named_parameters() if p.grad is not None}})
    ours, theirs = found
    assert ours.keys() == theirs.keys()
    assert {"0.conv1.weight", "0.downsample.0.weight", "1.conv2.weight", "2.conv3.weight"} < ours.keys()
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-3, atol=1e-5 * expected.abs().max().item())
    assert len(short_ways) == 1


@pytest.mark.parametrize("options", OTHERS.values(), ids=OTHERS.keys())
def test_other_blocks_are_cut_first(options, short_ways):
    net = network(**options)
    with torch.no_grad():
        cut = torchvision.ops.roi_align(conv4_map(net), regions()[:20], SIZE, 1 / STRIDE, -1, aligned=True)
        close(C4(net).vectors(net, [conv4_map(net)], regions()[:20]), net.layer4(cut).mean((2, 3)))
    assert not short_ways


@pytest.mark.parametrize("layer", ["0.conv1", "0.downsample.0", "0.downsample", "0", ""])
def test_a_hook_is_called_as_it_is_when_regions_are_cut_first(layer, short_ways):
    """Pruning makes a weight in one: in testing it would be the one before the last step."""
    net = network().eval()
    conv4, rois = conv4_map(net), regions()
    net.layer4.get_submodule(layer).register_forward_hook(lambda module, inputs, y: 2 * y)
    with torch.no_grad():
        found = C4(net, size=SIZE).vectors(net, [conv4], rois)
        cut = torchvision.ops.roi_align(conv4, rois[:-1], SIZE, 1 / STRIDE, -1, aligned=True)
        torch.testing.assert_close(found[:-1], net.conv5(cut).mean((2, 3)), rtol=1e-4, atol=1e-4)
    assert not short_ways


def test_maxima_do_not_commute_and_are_cut_first(short_ways):
    net = network()
    rois = regions()[:20].round()
    with torch.no_grad():
        cut = torchvision.ops.roi_pool(conv4_map(net), rois, SIZE, 1 / STRIDE)
        close(C4(net, pool="pool").vectors(net, [conv4_map(net)], rois), net.layer4(cut).mean((2, 3)))
    assert not short_ways


def test_batch_norm_that_takes_statistics_takes_them_of_the_regions(short_ways):
    net, twin = network(frozen=False), network(frozen=False)
    with torch.no_grad():
        cut = torchvision.ops.roi_align(conv4_map(net), regions()[:20], SIZE, 1 / STRIDE, -1, aligned=True)
        close(C4(net).vectors(net, [conv4_map(net)], regions()[:20]), twin.layer4(cut).mean((2, 3)))
    assert not short_ways
    torch.testing.assert_close(net.layer4[0].bn1.running_mean, twin.layer4[0].bn1.running_mean)


def test_few_regions_of_a_large_map_are_cut_first_and_none_has_no_vectors(short_ways):
    net = network()
    with torch.no_grad():
        one = C4(net).vectors(net, [conv4_map(net)], regions()[:1])
        none = C4(net).vectors(net, [conv4_map(net)], regions()[:0])
        assert not short_ways
        close(one, C4(net).vectors(net, [conv4_map(net)], regions())[:1])
    assert none.shape == (0, net.channels["conv5"])


def test_regions_in_parts_are_as_all_at_once_and_learn_the_same(monkeypatch):
    net = network()
    weight = next(iter(net.layer4.parameters()))

    def learn():
        net.zero_grad()
        vectors = C4(net).vectors(net, [conv4_map(net)], regions())
        (vectors * torch.linspace(-1, 2, vectors.numel()).view_as(vectors)).sum().backward()
        return vectors.detach(), weight.grad

    expected = learn()
    monkeypatch.setattr(c4, "KEPT", 5 * net.channels["conv5"] * 7 * 7 * 4)  # five regions at a time
    with torch.no_grad():
        close(C4(net).vectors(net, [conv4_map(net)], regions()), expected[0])
    for found, whole in zip(learn(), expected, strict=True):
        close(found, whole)


def test_autocast_gives_float32_vectors_near_those_without():
    net = network()
    with torch.no_grad():
        expected = C4(net).vectors(net, [conv4_map(net)], regions())
        with torch.autocast("cpu", torch.bfloat16):
            found = C4(net).vectors(net, [conv4_map(net).bfloat16()], regions())
    assert found.dtype == torch.float32
    assert (found - expected).abs().mean() < 0.01 * expected.abs().mean() + 0.01 * expected.std()
