"""How long work goes on: a bar on a terminal, a line now and then where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 20.0
T = TypeVar("T")


class TrainingProgress:
    """Loss, images/s and time left of a training run, on stderr.

    Args:
        steps: of the whole run.
        start: the step it starts from.
        images_per_step: to give a rate in images.
    """

    def __init__(self, steps: int, start: int, images_per_step: int) -> None:
        self.images_per_step = images_per_step
        self.bar = tqdm(
            total=steps,
            initial=start,
            unit="step",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )
        self.steps, self.start = steps, start
        self.began = self.said = time.monotonic()

    def __call__(self, step: int, row: dict[str, Any]) -> None:
        """Take note of a step's losses or of an evaluation's metrics (their names begin with ``val/``)."""
        if any(name.startswith("val/") for name in row):
            self._say(f"step {step}/{self.steps}: {_numbers(row)}")
            return
        rate = (step - self.start) * self.images_per_step / max(time.monotonic() - self.began, 1e-9)
        if not self.bar.disable:
            self.bar.set_postfix_str(f"loss {row['loss']:.3f}, {rate:.0f} images/s")
            self.bar.update(step - self.bar.n)
        elif time.monotonic() - self.said > SECONDS_BETWEEN_LINES:
            self.said = time.monotonic()
            left = (self.steps - step) * self.images_per_step / rate
            self._say(f"step {step}/{self.steps}: loss {row['loss']:.3f}, {rate:.0f} images/s, {left:.0f} s left")

    def _say(self, line: str) -> None:
        tqdm.write(line, file=sys.stderr)
        sys.stderr.flush()


def follow(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The items, while their number done is shown on stderr."""
    began = said = time.monotonic()
    with tqdm(total=total, desc=what, unit="batch", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:
        for done, item in enumerate(items, 1):
            yield item
            bar.update()
            now = time.monotonic()
            if bar.disable and now - said > SECONDS_BETWEEN_LINES:
                said = now
                line = f"{what}: {done}/{total}, {(now - began) / done * (total - done):.0f} s left"
                tqdm.write(line, file=sys.stderr)


def _numbers(row: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v:.2f}" for k, v in row.items() if isinstance(v, int | float))
