import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from resdet.ops.kernels import blocks_of, power_of_two, runs_triton

ROOT = Path(__file__).parents[2]


def run(*command: str) -> str:
    """Python in a process of its own, in which Triton would compile."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_blocks_are_the_next_power_of_two():
    assert [power_of_two(n) for n in (1, 2, 3, 4, 5, 128, 129)] == [1, 2, 4, 4, 8, 128, 256]


def test_blocks_cover_all_and_no_more_than_one_too_many():
    assert [blocks_of(n, 4) for n in (0, 1, 4, 5, 8)] == [0, 1, 1, 2, 2]


def test_the_cpu_does_without_triton():
    assert not runs_triton(torch.zeros(1))
    source = """
import sys
sys.modules["triton"] = None  # as where it is not installed: importing it fails
import torch
from resdet.ops import nms, roi_align, roi_pool
rois = torch.tensor([[0.0, 0, 0, 30, 30]])
print(roi_align(torch.rand(1, 2, 4, 4), rois, 2, 16).shape, roi_pool(torch.rand(1, 2, 4, 4), rois, 2, 16).shape)
print(nms(torch.rand(4, 4), torch.rand(4), 0.5).dtype)
"""
    assert run("-c", source).split("\n")[:2] == ["torch.Size([1, 2, 2, 2]) torch.Size([1, 2, 2, 2])", "torch.int64"]


@pytest.mark.slow
def test_kernels_compile_for_all_generations_read_several_channels_at_once_and_use_no_atomics():
    assert run(str(Path(__file__).parent / "compile_kernels.py")).split() == [
        "nms._overlaps",
        "nms._sweep",
        "roi_align._axis_weights",
        "roi_align._backward",
        "roi_align._forward",
        "roi_pool._backward",
        "roi_pool._maxima",
    ]
