"""What every test stands on: calm threads, Triton without a GPU, and real data where there is some."""

import os
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton is first imported, thus here

torch.set_num_threads(1)  # the tensors of tests are small: sharing them out costs more than it saves


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked ``gpu`` where there is no CUDA device."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder that holds the real data sets, from the environment variable RESDET_DATA; skips without it."""
    if not (root := os.environ.get("RESDET_DATA")):
        pytest.skip("RESDET_DATA does not name a folder of real data sets")
    if not Path(root).is_dir():
        pytest.fail(f"RESDET_DATA names {root}, which is not a folder")
    return Path(root)
