"""How long two ways to the same answer take, and how much memory, side by side."""

from __future__ import annotations

import ctypes
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

Work = Callable[[], Sequence[Tensor]]  # does the work and gives its answer
MEBIBYTE = 2**20
FILLED_MS = 20.0  # on a GPU, which works while the host goes on, a time is the mean of calls that fill about so long


@dataclass(frozen=True)
class Row:
    """One comparison, as a benchmark file holds it."""

    suite: str
    name: str
    ours_ms: float
    peer: str  # what is compared with; empty: there is nothing that does the same
    peer_ms: float | None
    ratio: float | None  # peer_ms / ours_ms, above 1: ours is faster; None: the answers differ, or there is no peer
    agree: bool
    spread: float  # the larger interquartile range of the two, as a share of its median
    ours_mib: float | None  # memory at its peak beyond that before; None: not known here
    peer_mib: float | None


def compare(
    suite: str,
    name: str,
    ours: Work,
    peer: str,
    theirs: Work,
    *,
    device: torch.device,
    runs: int = 7,
    agree: bool | None = None,
    tolerance: tuple[float, float] | None = None,
) -> Row:
    """Run both ways once, for their answers and memory, then ``runs`` times in turn; medians of wall time.

    Args:
        agree: whether the answers are the same where that was found out elsewhere, for work that draws at random;
            None: they are compared here.
        tolerance: the most that two numbers may differ, relatively and absolutely; None: what
            ``torch.testing.assert_close`` has for their type.

    They take turns so that a busy or a warm machine slows both alike.  Memory is that of the first run, ours before
    the peer's: what ours leaves behind can only make the peer's look smaller.
    """
    ours_mib, answer = _peak(ours, device)
    peer_mib, expected = _peak(theirs, device)
    agree = _agree(answer, expected, tolerance) if agree is None else agree
    del answer, expected
    times: tuple[list[float], list[float]] = ([], [])
    calls = [_calls(work, device) for work in (ours, theirs)]
    for _ in range(runs):
        for work, count, taken in zip((ours, theirs), calls, times, strict=True):
            taken.append(_milliseconds(work, device, count))
    row = row_of(suite, name, times[0], peer, times[1], agree=agree)
    return replace(row, ours_mib=ours_mib, peer_mib=peer_mib)


def alone(suite: str, name: str, ours: Callable[[], bool], *, runs: int = 3) -> Row:
    """Time what has no peer: the median wall time of ``runs`` times; ``ours`` says whether its answer was right."""
    times, right = [], True
    for _ in range(runs):
        began = time.perf_counter()
        right = ours() and right
        times.append((time.perf_counter() - began) * 1000)
    return Row(suite, name, median(times), "", None, None, right, _spread(times), None, None)


def row_of(
    suite: str, name: str, ours: Sequence[float], peer: str, theirs: Sequence[float], *, agree: bool = True
) -> Row:
    """Compare two lists of milliseconds that were taken in turn; memory is not known."""
    ours_ms, peer_ms = median(ours), median(theirs)
    ratio = peer_ms / ours_ms if agree else None
    return Row(suite, name, ours_ms, peer, peer_ms, ratio, agree, max(_spread(ours), _spread(theirs)), None, None)


def measured_on(device: torch.device) -> dict[str, Any]:
    """The machine, the versions of the software, and the device: a GPU by its name, a CPU by its threads."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return {
        "machine": platform.platform(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": metadata.version("torchvision"),
        },
        "device": f"{device} ({name})",
    }


def benchmark_file(rows: Sequence[Row], device: torch.device) -> dict[str, Any]:
    """What ``benchmark.py --json`` writes: the rows, and on what they were measured."""
    return {**measured_on(device), "rows": [asdict(row) for row in rows]}


def _agree(answer: Sequence[Tensor], expected: Sequence[Tensor], tolerance: tuple[float, float] | None) -> bool:
    """Whether the answers are the same to ``tolerance``, or to those of ``torch.testing.assert_close``."""
    rtol, atol = tolerance or (None, None)
    try:
        torch.testing.assert_close(list(answer), list(expected), rtol=rtol, atol=atol)
    except AssertionError:
        return False
    return True


def _calls(work: Work, device: torch.device) -> int:
    return max(1, round(FILLED_MS / _milliseconds(work, device))) if device.type == "cuda" else 1


def _milliseconds(work: Work, device: torch.device, calls: int = 1) -> float:
    """Of one call, the mean of ``calls`` that follow one another without waiting."""
    _wait(device)
    began = time.perf_counter()
    for _ in range(calls):
        work()
    _wait(device)
    return (time.perf_counter() - began) * 1000 / calls


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _spread(times: Sequence[float]) -> float:
    low, high = torch.tensor(times).quantile(torch.tensor([0.25, 0.75])).tolist()
    return (high - low) / median(times)


def _peak(work: Work, device: torch.device) -> tuple[float | None, Sequence[Tensor]]:
    """The most memory that ``work`` holds beyond what was held before, in MiB, and its answer."""
    if device.type == "cuda":
        _wait(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = float(torch.cuda.memory_allocated(device))
        answer = work()
        _wait(device)
        return (torch.cuda.max_memory_allocated(device) - before) / MEBIBYTE, answer
    try:  # Linux: writing 5 begins a new record of the most that lay in memory
        _return_freed_memory()
        Path("/proc/self/clear_refs").write_text("5")
        before = _resident("VmRSS")
    except OSError:
        return None, work()
    answer = work()
    return max(0.0, _resident("VmHWM") - before), answer


def _return_freed_memory() -> None:
    """Give freed memory back to the kernel (glibc): else it is used again and does not show as new."""
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def _resident(field: str) -> float:
    """A line of this process's status, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))
