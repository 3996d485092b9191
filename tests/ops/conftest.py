"""Where there is no GPU, kernels run in Triton's interpreter, which before 3.7 does not work with NumPy 2.4."""

import importlib.metadata

import pytest
import torch

KERNEL_TESTS = ("test_nms_kernel.py", "test_region_kernels.py")


def _release(package: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in importlib.metadata.version(package).split(".")[:2])
    except importlib.metadata.PackageNotFoundError:
        return (0, 0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what the interpreter cannot run."""
    if torch.cuda.is_available() or _release("triton") >= (3, 7) or _release("numpy") < (2, 4):
        return
    for item in items:
        if item.path.name in KERNEL_TESTS:
            item.add_marker(pytest.mark.skip(reason="Triton's interpreter before 3.7 fails with NumPy 2.4"))
