"""R-CNN's crops are drawn by each part of a step: there must be as many objects among them as without parts."""

import pytest
import torch

from resdet.config import RCNNConfig, load_config
from resdet.engine.distributed import Process
from resdet.errors import UsageError
from resdet.jobs.rcnn_training import check_parts


@pytest.mark.parametrize(
    ("words", "processes"),
    [
        ([], 1),  # 256 crops, 64 objects
        (["train.accumulate=64"], 1),  # 4 crops, 1 object
        (["train.accumulate=128", "model.crops_per_image=2"], 1),
        (["train.accumulate=16"], 4),
        (["train.batch_size=2"], 1),  # no object at all, in one part
    ],
)
def test_parts_that_draw_as_many_objects_are_left_alone(words, processes):
    check_parts(load_config(RCNNConfig, None, words), Process(0, processes, torch.device("cpu")))


@pytest.mark.parametrize(
    ("words", "processes", "line"),
    [
        (["train.accumulate=128"], 1, "128: parts of 2 crops draw 0 objects each, 256 crops at once 64"),
        (["train.accumulate=32"], 4, "32: parts of 2 crops draw 0 objects each, 64 crops at once 16"),
        (["train.accumulate=8", "model.object_share=0.3"], 1, "8: parts of 32 crops draw 9 objects each, 256 .* 76"),
    ],
)
def test_parts_that_draw_fewer_objects_are_refused(words, processes, line):
    with pytest.raises(UsageError, match=f"train.accumulate {line}"):
        check_parts(load_config(RCNNConfig, None, words), Process(0, processes, torch.device("cpu")))
