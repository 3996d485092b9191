"""Where anchors lie, whatever type torch makes tensors of by default."""

import torch

from resdet.boxes.anchors import anchor_grid, anchor_shapes, anchors_in


def test_anchors_stay_under_another_default_type():
    shapes, cells = anchor_shapes([32.0], [1.0]), torch.tensor([[16.0, 16.0]])
    wanted = anchors_in(shapes, 1, 300, cells, 0.5), anchor_grid(shapes, 1, 300, 16)
    torch.set_default_dtype(torch.bfloat16)  # has no 128.5
    try:
        found = anchors_in(shapes, 1, 300, cells, 0.5), anchor_grid(shapes, 1, 300, 16)
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
