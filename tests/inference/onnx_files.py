"""ONNX files, written in processes of their own and run in this one."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from several import together


def session(file, write):
    """What runs a file that ``write(file)`` writes.

    torch's exporter starts autograd's threads, which keep processes that are forked later from learning.
    """
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    together(1, lambda rank: write(file))
    return runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
