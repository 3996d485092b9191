"""What a run tells: ``metrics.jsonl``, TensorBoard, and one line of progress."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class MetricsLog:
    """One JSON object a logged step, in ``metrics.jsonl`` and as TensorBoard scalars.

    Args:
        folder: the run's folder.
        step: the step training starts from; rows of later steps, written by a run that was cut off, are dropped.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and evaluation has no use for it

        self.file = folder / "metrics.jsonl"
        _drop_after(self.file, step)
        self.board: Any = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Log numbers of a step; what is not a number is left to the JSON file alone."""
        with self.file.open("a") as stream:
            stream.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            if isinstance(value, int | float):
                self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush TensorBoard's file."""
        self.board.close()


def _drop_after(file: Path, step: int) -> None:
    if not file.exists():
        return
    rows = []
    for line in file.read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break  # the line that was being written when the run was cut off
        if row["step"] <= step:
            rows.append(line)
    part = file.with_name(file.name + ".part")
    part.write_text("".join(row + "\n" for row in rows))
    part.replace(file)
