"""Means of what is measured in training, from one evaluation to the next."""

from __future__ import annotations

from typing import Any

from resdet.losses import MEASURED


class TrainingMeans:
    """Sums over steps of every value whose name begins with :data:`~resdet.losses.MEASURED`."""

    def __init__(self) -> None:
        self.steps = 0
        self.sums: dict[str, float] = {}

    def add(self, values: dict[str, float]) -> None:
        """Take in one step's."""
        self.steps += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def take(self) -> dict[str, float]:
        """The mean of each, as ``train/...``, over the steps since this was last called."""
        means = {f"train/{name.removeprefix(MEASURED)}": value / self.steps for name, value in self.sums.items()}
        self.steps, self.sums = 0, {}
        return means

    def state(self) -> dict[str, Any]:
        """For a checkpoint in the middle of an epoch."""
        return {"steps": self.steps, "sums": dict(self.sums)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        self.steps, self.sums = state["steps"], dict(state["sums"])
