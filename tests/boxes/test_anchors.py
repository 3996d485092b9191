import math

import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from resdet.boxes.anchors import anchor_grid, anchor_shapes, anchors_in
from resdet.boxes.geometry import area


def test_areas_are_exact_and_ratios_are_height_over_width():
    shapes = anchor_shapes((64, 128, 224), (0.5, 1, 2))
    assert shapes.shape == (9, 4)
    expected = torch.tensor([64.0**2] * 3 + [128.0**2] * 3 + [224.0**2] * 3)
    torch.testing.assert_close(area(shapes), expected)
    width, height = (shapes[:, 2:] - shapes[:, :2]).unbind(1)
    torch.testing.assert_close(height / width, torch.tensor([0.5, 1.0, 2.0] * 3))


def test_shapes_are_centred_on_the_origin():
    shapes = anchor_shapes((10, 33), (0.4, 2.5))
    assert torch.equal(shapes[:, :2], -shapes[:, 2:])


def test_shape_worked_by_hand():
    # 8 * 8 pixels at height = 4 * width: 4 wide, 16 high
    assert anchor_shapes((8,), (4,)).tolist() == [[-2, -8, 2, 8]]


def test_grid_of_a_2x3_map_worked_by_hand():
    shapes = torch.tensor([[-1.0, -2.0, 1.0, 2.0], [-3.0, -3.0, 3.0, 3.0]])
    grid = anchor_grid(shapes, height=2, width=3, stride=10)
    assert grid.shape == (12, 4)
    assert grid[0].tolist() == [4, 3, 6, 7]  # first cell's centre is (5, 5)
    assert grid[1].tolist() == [2, 2, 8, 8]  # the same cell, second shape
    assert grid[2].tolist() == [14, 3, 16, 7]  # one cell to the right
    assert grid[6].tolist() == [4, 13, 6, 17]  # first cell of the second row
    centres = (grid[::2, :2] + grid[::2, 2:]) / 2
    assert centres.tolist() == [[5, 5], [15, 5], [25, 5], [5, 15], [15, 15], [25, 15]]


def test_order_is_that_of_a_convolutions_output_permuted_and_reshaped():
    """An output whose numbers spell (anchor, value, row, column) reads out beside the anchor they belong to."""
    height, width, stride = 2, 3, 8
    shapes = anchor_shapes((4, 8), (1.0, 2.0))
    a, j, y, x = torch.meshgrid(*(torch.arange(n) for n in (4, 4, height, width)), indexing="ij")
    output = torch.stack((a, j, y, x), -1).flatten(0, 1)[None]  # (1, A * 4, h, w) of 4 numbers each
    read = output.permute(0, 2, 3, 1, 4).reshape(1, height * width * 4, 4, 4)[0]
    for row, anchor in zip(read, anchor_grid(shapes, height, width, stride), strict=True):
        assert row[:, 1].tolist() == [0, 1, 2, 3]
        which, _, y, x = row[0].tolist()
        centre = torch.tensor([(x + 0.5) * stride, (y + 0.5) * stride]).repeat(2)
        torch.testing.assert_close(anchor, centre + shapes[which])


def test_paper_sized_map_has_441_anchors_of_which_one_in_the_middle():
    grid = anchor_grid(anchor_shapes((64, 128, 224), (0.5, 1, 2)), 7, 7, 32)
    assert grid.shape == (7 * 7 * 9, 4)
    assert grid[(3 * 7 + 3) * 9 + 7].tolist() == [0, 0, 224, 224]
    assert math.isclose(grid.mean().item(), 112, rel_tol=1e-5)


def test_anchors_of_equal_cells_are_the_grid():
    shapes = anchor_shapes((16, 32), (0.5, 1))
    found = anchors_in(shapes, 3, 4, torch.full((2, 2), 16.0), 0.5)
    assert torch.equal(found, anchor_grid(shapes, 3, 4, 16).expand(2, -1, -1))


def test_rounded_anchors_at_the_corners_of_cells_are_torchvisions():
    """Of an image 160 wide and 96 high: 3 x 2 cells at the last level, 53 x 48 pixels."""
    sizes, ratios = (32, 64, 128), (0.5, 1.0, 2.0)
    maps = [torch.zeros(1, 1, h, w) for h, w in ((24, 40), (6, 10), (2, 3))]
    generator = AnchorGenerator(tuple((size,) for size in sizes), (ratios,) * 3)
    expected = generator(ImageList(torch.zeros(1, 3, 96, 160), [(96, 160)]), maps)[0]
    cells = torch.tensor([[4.0, 4], [16, 16], [53, 48]])
    found = [
        anchors_in(anchor_shapes((size,), ratios, rounded=True), *feature.shape[2:], cell[None], 0.0)[0]
        for size, feature, cell in zip(sizes, maps, cells, strict=True)
    ]
    assert torch.equal(torch.cat(found), expected)
