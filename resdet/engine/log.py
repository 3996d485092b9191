"""What a run tells: ``metrics.jsonl`` and TensorBoard."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from resdet.errors import naming
from resdet.whole_file import replacing


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
        with naming(folder):
            self.board: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Log numbers of a step; what is not a number is left to the JSON file alone, where NaN becomes null."""
        row = {"step": step, **{name: None if _is_nan(value) else value for name, value in values.items()}}
        with naming(self.file), self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        with naming(self.file.parent):
            for name, value in values.items():
                if isinstance(value, int | float):
                    self.board.add_scalar(name, value, step)

    def to_disk(self) -> None:
        """Have every row on the disk: a checkpoint that says they were written must not outlive them."""
        if self.file.exists():
            with naming(self.file), self.file.open("ab") as stream:
                os.fsync(stream.fileno())

    def close(self) -> None:
        """Flush TensorBoard's file."""
        with naming(self.file.parent):
            self.board.close()


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _drop_after(file: Path, step: int) -> None:
    if not file.exists():
        return
    with (
        file.open(encoding="utf-8", errors="replace") as rows,  # line by line: a long run has a million
        replacing(file) as part,
        part.open("w", encoding="utf-8") as stream,
    ):
        stream.writelines(row.rstrip("\n") + "\n" for row in rows if _is_kept(row, step))
        stream.flush()
        os.fsync(stream.fileno())  # else a power cut may leave the name to an empty file


def _is_kept(row: str, step: int) -> bool:
    try:
        return bool(json.loads(row)["step"] <= step)
    except (ValueError, TypeError, KeyError, RecursionError):
        return False  # the line that was being written when the run was cut off, or one that is damaged
