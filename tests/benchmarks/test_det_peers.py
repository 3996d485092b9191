"""The detection suite's other peers: torchvision's own detector, and our file in another runtime."""

import sys
from pathlib import Path

import pytest
import torch

from resdet.benchmarks import exported, pyramid

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from several import together

CPU = torch.device("cpu")


def test_a_pyramid_finds_what_torchvisions_own_detector_finds():
    rows = list(pyramid.rows(CPU, width=192, height=160, proposals=60, runs=1))
    assert [row.name for row in rows] == [
        f"detecting in {own} (R50-FPN, 160x192, 60 proposals)" for own in ("fp32", "bf16", "bf16")
    ]
    assert [row.peer for row in rows] == [f"torchvision's, {other}" for other in ("fp32", "fp32", "bf16")]
    assert [row.agree for row in rows] == [True] * 3


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # of torch 2.11's exporter about torch itself
def test_a_detectors_file_finds_what_the_detector_finds():
    """In a process of its own: what torch's exporter starts keeps processes that are forked later from learning."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")

    def check(rank):
        (row,) = exported.rows(CPU, depth=18, width=192, height=160, regions=20, runs=1)
        assert row.agree and "onnxruntime" in row.peer

    together(1, check)


def test_where_it_cannot_run_there_is_no_row(monkeypatch):
    monkeypatch.setattr("resdet.benchmarks.exported.find_spec", lambda name: None)
    assert not list(exported.rows(CPU))
    assert not list(exported.rows(torch.device("cuda")))
