"""The feature pyramid's parts against torchvision's, with the same weights."""

import pytest
import torch
from torch import nn
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from resdet.backbones.resnet import ResNet
from resdet.heads.fpn import FPN, fitting_level

NAMES = ("conv2", "conv3", "conv4", "conv5")


def pyramid(**options) -> tuple[ResNet, FPN]:
    torch.manual_seed(0)
    backbone = ResNet(18, 1, width=8).eval()
    return backbone, FPN(backbone, channels=6, box_channels=10, **options).eval()


@pytest.mark.parametrize("norm", [False, True])
def test_levels_are_torchvisions(norm):
    backbone, fpn = pyramid(norm=norm)
    theirs = FeaturePyramidNetwork([8, 16, 32, 64], 6, LastLevelMaxPool(), nn.BatchNorm2d if norm else None).eval()
    own = {k: v for k, v in fpn.state_dict().items() if not k.startswith("box_head")}
    theirs.load_state_dict(own)  # every name is theirs
    pixels = torch.randn(2, 3, 96, 160)
    expected = theirs(backbone.maps(pixels))
    levels = fpn.maps(backbone, pixels, None)
    assert [tuple(level.shape[2:]) for level in levels] == [(24, 40), (12, 20), (6, 10), (3, 5), (2, 3)]
    for level, other in zip(levels, expected.values(), strict=True):
        torch.testing.assert_close(level, other)


def test_regions_of_every_size_have_torchvisions_vectors():
    backbone, fpn = pyramid()
    maps = fpn.maps(backbone, torch.randn(2, 3, 512, 640), None)
    side = torch.tensor([8.0, 60, 111.9, 112, 200, 224, 300, 448, 500, 3]).repeat(2)
    corner = torch.rand(20, 2) * 100
    boxes = torch.cat((corner, corner + torch.stack((side * 1.25, side * 0.8), 1)), 1)
    image = torch.arange(20) % 2
    pool = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
    of_image = [boxes[image == 0], boxes[image == 1]]
    cut = pool({str(i): level for i, level in enumerate(maps[:4])}, of_image, [(512, 640)] * 2)
    head = TwoMLPHead(6 * 49, 10)
    for own, other in ((fpn.box_head[1], head.fc6), (fpn.box_head[3], head.fc7)):
        other.load_state_dict(own.state_dict())
    found = fpn.vectors(backbone, maps, torch.cat((image[:, None].float(), boxes), 1))
    torch.testing.assert_close(torch.cat((found[image == 0], found[image == 1])), head(cut))
    assert len(fitting_level(boxes).unique()) == 4


def test_levels_change_at_half_and_twice_224_pixels():
    sides = [0.0, 111.0, 112.0, 223.0, 224.0, 447.0, 448.0, 5000.0]
    boxes = torch.tensor([[10, 10, 10 + side, 10 + side] for side in sides])
    assert fitting_level(boxes).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_no_regions_have_no_vectors():
    backbone, fpn = pyramid(norm=True, box_convs=2, box_layers=1)
    maps = fpn.maps(backbone, torch.randn(1, 3, 64, 64), None)
    assert fpn.vectors(backbone, maps, torch.zeros(0, 5)).shape == (0, 10)


def test_cells_are_an_images_side_by_their_number_rounded_down():
    _, fpn = pyramid()
    cells = fpn.cells(torch.tensor([[800.0, 1088.0], [64.0, 96.0]]))
    assert [cell[0].tolist() for cell in cells] == [[4, 4], [8, 8], [16, 16], [32, 32], [61, 64]]
    assert cells[4][1].tolist() == [64, 48]


def test_an_images_levels_are_the_same_alone_and_in_a_batch():
    backbone, fpn = pyramid()
    small = torch.randn(1, 3, 64, 96)
    batch = torch.zeros(2, 3, 128, 128)
    batch[0, :, :64, :96] = small[0]
    batch[1] = torch.randn(3, 128, 128)
    stages = backbone.maps(small)

    class Known(nn.Module):
        """The stages of the small image within those of the batch, something else beyond them."""

        def maps(self, pixels):
            found = {name: torch.full((2, m.shape[1], 128 // s, 128 // s), 7.0) for (name, m), s in sized(stages)}
            for name, of_image in stages.items():
                found[name][0, :, : of_image.shape[2], : of_image.shape[3]] = of_image[0]
            return found

    def sized(maps):
        return zip(maps.items(), (4, 8, 16, 32), strict=True)

    together = fpn.maps(Known(), batch, torch.tensor([[96.0, 64.0], [128.0, 128.0]]))
    for level, expected in zip(together, fpn.maps(backbone, small, None), strict=True):
        height, width = expected.shape[2:]
        torch.testing.assert_close(level[:1, :, :height, :width], expected)


def test_a_new_pyramid_is_drawn_as_torchvisions():
    torch.manual_seed(0)
    ours = FPN(ResNet(18, 1, width=8), channels=64, box_channels=10).state_dict()
    theirs = FeaturePyramidNetwork([8, 16, 32, 64], 64).state_dict()
    for name, value in theirs.items():
        if name.endswith("bias"):
            assert not ours[name].any()
        else:  # evenly from a range: its ends tell
            torch.testing.assert_close(ours[name].aminmax(), value.aminmax(), rtol=0.03, atol=0)


def test_a_region_that_is_not_finite_is_cut_from_some_level_and_is_all_zeros():
    """Refinement pools from what a network has regressed, whose numbers may be NaN."""
    backbone, fpn = pyramid()
    nan, inf = float("nan"), float("inf")
    rois = torch.tensor([[0, nan, 0, 9, 9], [0, 0, 0, inf, 9], [0, nan, nan, nan, nan], [0, 8, 8, 48, 48]])
    assert fitting_level(rois[:, 1:]).tolist() == [0, 3, 0, 0]
    levels = fpn.maps(backbone, torch.randn(1, 3, 64, 64), None)
    found = fpn.vectors(backbone, levels, rois)
    torch.testing.assert_close(found[3:], fpn.vectors(backbone, levels, rois[3:]))
    of_nothing = fpn.box_head(torch.zeros(1, 6, 7, 7))
    torch.testing.assert_close(found[:3], of_nothing.expand(3, -1))
