import torch

from resdet.benchmarks import loc


def test_sliced_and_full_head_agree_in_training_and_testing():
    rows = list(loc.rows(torch.device("cpu"), batch=3, neck=16, classes=20, anchors=2))
    assert [row.name.split(" (")[0] for row in rows] == ["training, forward and backward", "testing"]
    assert all(row.agree and row.ratio > 0 for row in rows)
