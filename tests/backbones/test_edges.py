"""Images of several sizes in one batch are seen as if each were alone."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from resdet.backbones.edges import covered, edges_repeated, images_end
from resdet.backbones.resnet import ResNet

SIZES = ((96, 64), (70, 33), (17, 64), (1, 1))  # width, height


def lively(depth, **options):
    """A network whose batch norm turns zeros into something else, as a trained one's does."""
    torch.manual_seed(0)
    net = ResNet(depth, 2, width=8, **options).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias)
            torch.nn.init.normal_(module.running_mean)
    return net


def batch_and_alone():
    torch.manual_seed(1)
    alone = [torch.randn(1, 3, height, width) for width, height in SIZES]
    batch = torch.zeros(len(SIZES), 3, 64, 96)
    for place, image in zip(batch, alone, strict=True):
        place[:, : image.shape[2], : image.shape[3]] = image
    return batch, alone


NETS = [(18, {}), (50, {}), (50, {"stride_in": "3x3"}), (18, {"stem": "3x3-pool"}), (18, {"shortcut": "gated"}),
        (18, {"shortcut": "A"}), (18, {"shortcut": "none"})]  # fmt: skip


@pytest.mark.parametrize(("depth", "options"), NETS, ids=str)
def test_each_map_of_a_batch_holds_what_the_image_gives_alone_and_then_zeros(depth, options):
    net = lively(depth, **options)
    batch, alone = batch_and_alone()
    with torch.no_grad():
        with images_end(net, torch.tensor(SIZES), 64, 96):
            together = net.maps(batch)
        for i, image in enumerate(alone):
            for name, expected in net.maps(image).items():
                height, width = expected.shape[-2:]
                found = together[name][i : i + 1].clone()
                torch.testing.assert_close(found[..., :height, :width], expected, rtol=1e-4, atol=1e-4)
                found[..., :height, :width] = 0
                assert not found.any(), f"{name} of image {i} goes on beyond its edge"


def test_another_thread_sees_its_own_images_to_their_own_edges():
    net = lively(18)
    batch, alone = batch_and_alone()
    expected = net.trunk(alone[0]).detach()
    with ThreadPoolExecutor(1) as other, torch.no_grad(), images_end(net, torch.tensor(SIZES[1:2]), 64, 96):
        torch.testing.assert_close(other.submit(net.trunk, alone[0]).result(), expected)  # of the batch's size
        assert other.submit(net.trunk, batch[..., :80]).result().shape[0] == len(SIZES)  # of another


def test_without_it_neighbours_and_padding_are_seen():
    net = lively(18)
    batch, alone = batch_and_alone()
    with torch.no_grad():
        found, expected = net.trunk(batch)[1, :, :3, :5], net.trunk(alone[1])[0]
    assert (found - expected).abs().mean() > 0.05 * expected.abs().mean()


def test_gradients_are_those_of_the_images_alone():
    net = lively(18)
    batch, alone = batch_and_alone()
    with images_end(net, torch.tensor(SIZES), 64, 96):
        net.trunk(batch).square().sum().backward()
    together = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    for image in alone:
        net.trunk(image).square().sum().backward()
    for name, gradient in together.items():
        expected = net.get_parameter(name).grad
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item(), msg=name)


def test_outside_of_it_the_network_is_as_it_was():
    net = lively(18)
    batch, _ = batch_and_alone()
    with torch.no_grad():
        before = net.trunk(batch)
        with pytest.raises(ZeroDivisionError), images_end(net, torch.tensor(SIZES), 64, 96):
            raise ZeroDivisionError
        assert torch.equal(net.trunk(batch), before)


def test_a_cell_is_covered_where_one_pixel_of_the_image_is_in_it():
    found = covered(torch.tensor([[33.0, 16.0], [1.0, 17.0]]), height=3, width=4, stride=16)
    assert found.long().tolist() == [
        [[1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]],
    ]


def test_cells_beyond_an_edge_repeat_those_at_it():
    inside = torch.tensor([[[True, True, False, False], [True, True, False, False], [False] * 4]])
    feature = torch.tensor([[[[1.0, 2, 0, 0], [3, 4, 0, 0], [0, 0, 0, 0]]]])
    assert edges_repeated(feature, inside)[0, 0].tolist() == [[1, 2, 2, 0], [3, 4, 4, 0], [3, 4, 4, 0]]
