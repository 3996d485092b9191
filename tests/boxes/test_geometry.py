import torch
from torchvision.ops import box_area, clip_boxes_to_image

from resdet.boxes.geometry import area, clip


def test_area_is_width_times_height_and_none_upside_down():
    boxes = torch.tensor([[1.0, 2.0, 4.0, 7.0], [0.0, 0.0, 0.0, 5.0], [4.0, 0.0, 1.0, 5.0], [4.0, 5.0, 1.0, 2.0]])
    assert area(boxes).tolist() == [15.0, 0.0, 0.0, 0.0]
    assert area(boxes.view(2, 2, 4)).tolist() == [[15.0, 0.0], [0.0, 0.0]]


def test_area_and_clip_equal_torchvisions():
    boxes = torch.rand(50, 4, generator=torch.Generator().manual_seed(0)) * 40 - 10
    boxes[:, 2:] += boxes[:, :2] + 10
    torch.testing.assert_close(area(boxes), box_area(boxes))
    torch.testing.assert_close(clip(boxes, torch.tensor([30.0, 20.0])), clip_boxes_to_image(boxes, (20, 30)))


def test_clip_cuts_at_every_edge_and_flattens_what_lies_outside():
    boxes = torch.tensor(
        [[-3.0, -2.0, 50.0, 60.0], [2.0, 3.0, 4.0, 5.0], [-9.0, 3.0, -1.0, 5.0], [40.0, 3.0, 50.0, 5.0]]
    )
    expected = torch.tensor(
        [[0.0, 0.0, 30.0, 20.0], [2.0, 3.0, 4.0, 5.0], [0.0, 3.0, 0.0, 5.0], [30.0, 3.0, 30.0, 5.0]]
    )
    assert torch.equal(clip(boxes, torch.tensor([30.0, 20.0])), expected)


def test_clip_takes_each_image_its_own_size():
    boxes = torch.tensor([[[0.0, 0.0, 99.0, 99.0]], [[0.0, 0.0, 99.0, 99.0]]])  # (2 images, 1 box, 4)
    sizes = torch.tensor([[[10.0, 20.0]], [[30.0, 40.0]]])
    assert clip(boxes, sizes).tolist() == [[[0, 0, 10, 20]], [[0, 0, 30, 40]]]
