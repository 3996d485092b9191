"""Operators of ours, and what stands for each of them in ONNX."""

import numpy as np
import pytest
import torch
from onnx_files import session
from torch import nn

from resdet import ops
from resdet.inference.onnx_operators import kept_of_each, translations

FEATURES = torch.randperm(2 * 5 * 6 * 8, generator=torch.Generator().manual_seed(0)).reshape(2, 5, 6, 8).float()
ROIS = torch.tensor(
    [
        [0, 10, 12, 60, 70],  # inside, of a map that is 128 x 96 pixels
        [1, 0, 0, 128, 96],  # all of it
        [1, -30, -50, 40, 33],  # past the upper left corner
        [0, 100, 70, 190, 140],  # past the lower right
        [1, 40.3, 7.9, 40.9, 90],  # thinner than a cell
        [0, 50, 50, 50, 50],  # empty
        [1, 300, 300, 340, 350],  # outside
    ],
    dtype=torch.float32,
)


class Ops(nn.Module):
    def forward(self, features, rois):
        return (
            ops.roi_align(features, rois, 3, 16.0),
            ops.roi_align(features, rois, 4, 16.0, 2, False),
            ops.roi_pool(features, rois, 3, 16.0),
        )


class Kept(nn.Module):
    def forward(self, boxes, scores):
        return kept_of_each(boxes, scores, 0.5, 3)


def run(file, module, *inputs):
    """The answers of onnxruntime."""

    def write(file):
        how = {"dynamo": True, "custom_translation_table": translations(), "verbose": False}
        torch.onnx.export(module.eval(), inputs, **how).save(str(file))

    runs = session(file, write)
    names = [given.name for given in runs.get_inputs()]
    return runs.run(None, {name: given.numpy() for name, given in zip(names, inputs, strict=True)})


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # of torch 2.11's exporter about torch itself
def test_regions_are_cut_out_alike(tmp_path):
    for got, wanted in zip(run(tmp_path / "ops.onnx", Ops(), FEATURES, ROIS), Ops()(FEATURES, ROIS), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-3)


BOXES = torch.tensor(
    [
        [[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]],
        [[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [5, 5, 5, 5], [20, 20, 30, 30]],
    ],
    dtype=torch.float32,
)
OUT = float("-inf")
SCORES = torch.tensor([[-2.0, 3.0, 1.0, 0.5, -9.0], [OUT, 0.0, 0.0, -5.0, OUT]])
# of the first group the second suppresses the first, and three are the most; of the second what is out suppresses
# nothing, of two equals the first stays, and an empty box overlaps nothing
KEPT = [[0, 1, 1, 1, 0], [0, 1, 0, 1, 0]]


def test_what_is_kept_of_each_group():
    assert kept_of_each(BOXES, SCORES, 0.5, 3).tolist() == KEPT


def test_nothing_is_kept_where_nothing_takes_part():
    assert not kept_of_each(BOXES, torch.full((2, 5), OUT), 0.5, 3).any()


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.parametrize("scores", [SCORES, torch.full((2, 5), OUT)], ids=["some", "none"])
def test_a_file_keeps_the_same(scores, tmp_path):
    (kept,) = run(tmp_path / "kept.onnx", Kept(), BOXES, scores)
    np.testing.assert_array_equal(kept, kept_of_each(BOXES, scores, 0.5, 3))
