"""A process whose whole share of a batch is without objects: as if its images were with the others'."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_gradients_of_processes import ALONE, NO_BOXES, images, step

from resdet.engine.distributed import start
from resdet.structures import Target

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from several import together


@pytest.mark.parametrize("bare", [(1, 3), (0, 1, 2, 3)], ids=["one share", "both shares"])
@pytest.mark.parametrize("task", ["loc", "pcr", "det"])
def test_gradients_are_those_of_one_process(tmp_path, monkeypatch, task, bare):
    def without(count):
        batch = images(count)
        nothing = Target(-(task == "det"), *NO_BOXES)
        return replace(batch, targets=tuple(nothing if i in bare else t for i, t in enumerate(batch.targets)))

    monkeypatch.setattr("test_gradients_of_processes.images", without)
    together(2, lambda rank: torch.save(step(task, start("cpu"), 4), tmp_path / f"{rank}.pt"))
    expected = step(task, ALONE, 4)
    largest = max(gradient.abs().max().item() for gradient in expected.values())
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert all((found[name] - gradient).abs().max() <= 1e-6 * largest for name, gradient in expected.items())
