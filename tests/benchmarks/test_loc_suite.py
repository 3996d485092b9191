import torch

from resdet.benchmarks import loc

SMALL = ("model.backbone.depth=18", "model.backbone.width=8", "model.neck=16")


def small(device):
    return loc.rows(device, batch=3, neck=16, classes=20, anchors=2, images=3, size=64, settings=SMALL)


def test_sliced_and_full_head_agree_in_training_and_testing_and_boxes_leave_the_classes_as_they_are():
    rows = list(small(torch.device("cpu")))
    assert [row.name.split(" (")[0] for row in rows] == [
        "training, forward and backward",
        "testing",
        "classes and boxes in one pass",
        "training step, classes and boxes",
    ]
    assert all(row.agree and row.ratio > 0 for row in rows)
    assert rows[2].name.endswith("(R18, K 20, 3 crops of 64)")
