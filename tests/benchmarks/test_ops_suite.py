import pytest
import torch

from resdet.benchmarks import ops
from resdet.benchmarks.ops import Crowd, Maps


@pytest.fixture(scope="module")
def rows():
    maps = Maps("small", 8, 9, 12, 16, 20, 3), Maps("half", 8, 9, 12, 16, 20, 3, torch.bfloat16)
    return list(ops.rows(torch.device("cpu"), maps, (Crowd(3, 40, 0.3), Crowd(2, 700, 0.5, most=5))))


def test_ours_and_torchvision_agree_in_every_row(rows):
    assert [row.name for row in rows if not row.agree] == []


def test_every_operation_forward_and_backward_has_a_row_that_says_on_what(rows):
    names = [row.name for row in rows]
    ways = [f"{op} {way}" for op in ("roi_align", "roi_pool") for way in ("forward", "forward and backward")]
    assert names[:4] == [f"{way} (small, 20 x 3x3x8 of 9x12, float32)" for way in ways]
    assert names[4:8] == [f"{way} (half, 20 x 3x3x8 of 9x12, bfloat16)" for way in ways]
    assert names[8:] == [
        "batched_nms (3 x 40 boxes, IoU 0.3)",
        "batched_nms (2 x 700 boxes, IoU 0.5, the best 5 kept)",
    ]
