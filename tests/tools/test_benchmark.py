import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import benchmark

from resdet.benchmarks import loc


def test_rows_are_printed_and_written(tmp_path, monkeypatch, capsys):
    def small(device: torch.device):
        return loc.rows(device, batch=2, neck=8, classes=6, anchors=2)

    monkeypatch.setattr(benchmark, "SUITES", {"loc": small})
    file = tmp_path / "loc.json"
    benchmark.main(["--suite", "loc", "--device", "cpu", "--threads", "1", "--json", str(file)])
    assert "K 6, A 2" in capsys.readouterr().out
    assert [row["suite"] for row in json.loads(file.read_text())["rows"]] == ["loc", "loc"]


def test_unknown_suite_is_wrong_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["--suite", "lok"])
    assert "invalid choice: 'lok'" in capsys.readouterr().err
