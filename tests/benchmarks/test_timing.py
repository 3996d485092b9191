import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from resdet.benchmarks import timing
from resdet.benchmarks.timing import benchmark_file, compare

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch):
    """A clock that only ``sleep`` moves, in milliseconds."""

    class Clock:
        now = 0.0

        def sleep(self, milliseconds: float) -> None:
            self.now += milliseconds / 1000

    hands = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: hands.now)
    return hands


def work(clock, milliseconds: list[float], answer: float, calls: list[str], name: str):
    """Takes these times one after another, the first of them for the run that is not timed."""
    left = iter([0.0, *milliseconds])

    def run() -> list[torch.Tensor]:
        calls.append(name)
        clock.sleep(next(left))
        return [torch.tensor([answer])]

    return run


def test_medians_ratio_and_spread_worked_by_hand(clock):
    calls: list[str] = []
    ours = work(clock, [2.0, 3.0, 100.0, 1.0, 2.0], 1.0, calls, "ours")
    theirs = work(clock, [8.0, 7.0, 9.0, 8.0, 8.0], 1.0, calls, "theirs")
    row = compare("loc", "head", ours, "the other", theirs, device=CPU, runs=5)
    assert (row.suite, row.name, row.peer, row.agree) == ("loc", "head", "the other", True)
    assert (row.ours_ms, row.peer_ms, row.ratio) == pytest.approx((2.0, 8.0, 4.0))
    assert row.spread == pytest.approx((3.0 - 2.0) / 2.0)  # ours: quartiles 2 and 3; theirs: 8 and 8
    assert calls == ["ours", "theirs"] * 6, "in turn, after one run each for the answers"


def test_answers_that_differ_get_no_ratio(clock):
    for answer in (1.1, float("nan")):
        ours, theirs = (work(clock, [1.0] * 3, a, [], "") for a in (1.0, answer))
        row = compare("loc", "head", ours, "the other", theirs, device=CPU, runs=3)
        assert (row.agree, row.ratio) == (False, None)
        assert row.peer_ms == pytest.approx(1.0)


def test_answers_may_differ_by_a_tolerance_that_is_given(clock):
    for tolerance, agree in (((0.0, 0.2), True), ((0.2, 0.0), True), ((0.01, 0.01), False)):
        ours, theirs = (work(clock, [1.0], answer, [], "") for answer in (1.0, 1.1))
        assert compare("l", "h", ours, "p", theirs, device=CPU, runs=1, tolerance=tolerance).agree == agree


@pytest.mark.gpu
def test_on_a_gpu_short_work_is_timed_many_calls_at_once():
    count = torch.zeros(2, dtype=torch.int64)

    def call(which: int) -> list[torch.Tensor]:
        count[which] += 1
        return [torch.ones(4, device="cuda")]

    compare("s", "n", lambda: call(0), "p", lambda: call(1), device=torch.device("cuda"), runs=3)
    assert (count > 100).all()


def test_answers_of_another_shape_or_number_differ():
    def three() -> list[torch.Tensor]:
        return [torch.ones(3)]

    def twice() -> list[torch.Tensor]:
        return [torch.ones(3), torch.ones(3)]

    def table() -> list[torch.Tensor]:
        return [torch.ones(1, 3)]

    found = [compare("s", "n", three, "p", peer, device=CPU, runs=1).agree for peer in (three, twice, table)]
    assert found == [True, False, False]


MEMORY = """
import torch
from resdet.benchmarks.timing import compare

def once():
    return [torch.ones(40 * 2**18)]  # 40 MiB

def one_after_another():
    for _ in range(3):
        sum_of = torch.ones(80 * 2**18).sum()
    return [sum_of * 0 + torch.ones(40 * 2**18)]

torch.ones(2).sum()  # the pages of torch's own code are read in here: 8 MiB with Python 3.13
row = compare("s", "n", once, "p", one_after_another, device=torch.device("cpu"), runs=1)
print(row.agree, row.ours_mib, row.peer_mib)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory at its peak is known on Linux only")
def test_memory_is_the_most_held_at_once_and_not_what_was_used_one_after_another():
    # in a process of its own: one that has trained keeps what it frees (resdet/engine/memory.py), and shows more
    root = Path(__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", MEMORY], cwd=root, capture_output=True, text=True, check=True)
    agree, ours, peer = run.stdout.split()
    assert agree == "True"
    assert float(ours) == pytest.approx(40, abs=6)
    assert float(peer) == pytest.approx(80, abs=12)


def test_file_holds_rows_as_json_with_machine_and_versions():
    def nothing() -> list[torch.Tensor]:
        time.sleep(0.001)
        return [torch.zeros(1)]

    row = compare("loc", "head", nothing, "the other", nothing, device=CPU, runs=1)
    written = json.loads(json.dumps(benchmark_file([row], CPU)))
    assert set(written) == {"machine", "versions", "device", "rows"}
    assert written["versions"]["torch"] == torch.__version__
    assert written["device"].startswith("cpu")
    wanted = {"suite", "name", "ours_ms", "peer", "peer_ms", "ratio", "agree", "spread"}
    assert wanted <= set(written["rows"][0])
