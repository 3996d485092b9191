import json
import platform
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import benchmark

from resdet import cli
from resdet.benchmarks import loc
from resdet.benchmarks.timing import alone, row_of


def test_rows_are_printed_and_written(tmp_path, monkeypatch, capsys):
    def small(device: torch.device):
        words = ("model.backbone.depth=18", "model.backbone.width=8", "model.neck=16")
        return loc.rows(device, batch=2, neck=8, classes=6, anchors=2, images=2, size=64, settings=words)

    monkeypatch.setattr(benchmark, "SUITES", {"loc": (small,)})
    file = tmp_path / "loc.json"
    benchmark.main(["--suite", "loc", "--device", "cpu", "--threads", "1", "--json", str(file)])
    machine, *lines = capsys.readouterr().out.splitlines()
    assert f"cpu (1 threads); python {platform.python_version()}, torch {torch.__version__}" in machine
    assert all("K 6, A 2" in line for line in lines[:2])
    assert [row["suite"] for row in json.loads(file.read_text())["rows"]] == ["loc"] * 4


def test_rows_are_kept_where_a_later_one_fails(tmp_path, monkeypatch):
    def failing(device: torch.device):
        yield row_of("loc", "first", [1.0], "peer", [2.0])
        raise MemoryError

    monkeypatch.setattr(benchmark, "SUITES", {"loc": (failing,)})
    file = tmp_path / "loc.json"
    assert cli.run(benchmark.main, ["--device", "cpu", "--threads", "1", "--json", str(file)]) == 1
    assert [row["name"] for row in json.loads(file.read_text())["rows"]] == ["first"]


def test_a_row_says_its_ratio_or_why_it_has_none():
    row = row_of("det", "detecting", [10.0, 10, 10], "torchvision", [25.0, 25, 25])
    assert benchmark.line_of(row) == "detecting: 10.0 ms, torchvision 25.0 ms: 2.50x, spread 0 %"
    other = row_of("det", "detecting", [10.0], "torchvision", [25.0], agree=False)
    assert benchmark.line_of(other).endswith("25.0 ms: answers differ, spread 0 %")
    lines = [benchmark.line_of(alone("eval", "evaluating", lambda: right, runs=2)) for right in (True, False)]  # noqa: B023
    assert [line.partition(" ms")[2] for line in lines] == ["", ": wrong answer"]


def test_unknown_suite_is_wrong_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["--suite", "lok"])
    assert "invalid choice: 'lok'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--threads", "0"], "--threads"), (["--device", "blah"], "--device blah: this machine has cpu")],
)
def test_wrong_usage_is_a_line_and_a_code(monkeypatch, capsys, words, said):
    monkeypatch.setattr(benchmark, "SUITES", {"loc": ()})
    try:
        code = cli.run(benchmark.main, words)
    except SystemExit as end:  # argparse's
        code = end.code
    assert code == 2
    assert said in capsys.readouterr().err
