"""Progress of long work on stderr: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 20.0
T = TypeVar("T")


class TrainingProgress:
    """Loss, images/s and time left of a training run, on stderr.

    Args:
        steps: of the whole run; a resumed one begins where its first report says.
        images_per_step: to give a rate in images.
    """

    def __init__(self, steps: int, images_per_step: int) -> None:
        self.steps, self.images_per_step = steps, images_per_step
        self.bar = tqdm(total=steps, unit="step", disable=not sys.stderr.isatty(), dynamic_ncols=True)
        self.began = self.said = self.last = time.monotonic()
        self.elsewhere = 0.0  # seconds that evaluations took
        self.start: int | None = None

    def __call__(self, step: int, row: dict[str, Any]) -> None:
        """Take note of a step's losses or of an evaluation's metrics (their names begin with ``val/``)."""
        now = time.monotonic()
        if any(name.startswith("val/") for name in row):
            self.elsewhere += now - self.last
            self.say(f"step {step}/{self.steps}: {_numbers(row)}")
        else:
            if self.start is None:
                self.start = self.bar.initial = self.bar.n = step - 1
            self._step(step, step - self.start, row["loss"], now)
        self.last = now

    def _step(self, step: int, done: int, loss: float, now: float) -> None:
        rate = done * self.images_per_step / max(now - self.began - self.elsewhere, 1e-9)
        if not self.bar.disable:
            self.bar.set_postfix_str(f"loss {loss:.3f}, {_rate(rate)}", refresh=False)
            self.bar.update(step - self.bar.n)
        elif now - self.said > SECONDS_BETWEEN_LINES:
            self.said = now
            left = (now - self.began) / done * (self.steps - step)  # evaluations go on taking their share
            self.say(f"step {step}/{self.steps}: loss {loss:.3f}, {_rate(rate)}, {left:.0f} s left")

    def close(self) -> None:
        """Leave the bar as it stands and the cursor below it."""
        self.bar.close()

    def say(self, line: str) -> None:
        """Write a line above the bar."""
        tqdm.write(line, file=sys.stderr)
        sys.stderr.flush()


def follow(items: Iterable[T], total: int | None, what: str, unit: str = "batch") -> Iterator[T]:
    """Hand the items on, and show on stderr how many are done; ``total``: None where it is not known beforehand."""
    began = said = time.monotonic()
    with tqdm(total=total, desc=what, unit=unit, disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:
        for done, item in enumerate(items, 1):
            yield item
            bar.update()
            now = time.monotonic()
            if bar.disable and now - said > SECONDS_BETWEEN_LINES:
                said = now
                line = f"{what}: {done} done, {done / (now - began):.0f} a second"
                if total is not None:
                    line = f"{what}: {done}/{total}, {(now - began) / done * (total - done):.0f} s left"
                tqdm.write(line, file=sys.stderr)


@contextmanager
def waiting(what: str, *, told: bool = True) -> Iterator[None]:
    """Say on stderr, now and then, how long it has been going on: for what cannot be counted from outside.

    Args:
        told: False: nothing is said, as by all processes but one.
    """
    ended, began = threading.Event(), time.monotonic()

    def tell() -> None:
        while not ended.wait(SECONDS_BETWEEN_LINES):
            tqdm.write(f"{what}: {time.monotonic() - began:.0f} s so far", file=sys.stderr)

    teller = threading.Thread(target=tell, daemon=True)
    if told:
        teller.start()
    try:
        yield
    finally:
        ended.set()
        if told:
            teller.join()


def _rate(images: float) -> str:
    return f"{images:.0f} images/s" if images >= 10 else f"{images:.2f} images/s"  # detection on a CPU is below 1


def _numbers(row: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v:.2f}" for k, v in row.items() if isinstance(v, int | float))
