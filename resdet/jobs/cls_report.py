"""What ``tools/eval_cls.py`` reports beside the errors: which classes are taken for which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resdet.data.records import Records
from resdet.eval.confusion import class_confusion, most_confused, write_matrix


def confusion_of(guesses: NDArray[np.int64], records: Records, out: Path | None) -> list[dict[str, object]]:
    """The most frequent mistakes among first guesses.

    Args:
        guesses: ``(N, k)`` labels, best first, -1 for none.
        out: a folder for ``confusion.csv``, the whole matrix.
    """
    names = records.classes.names
    matrix = class_confusion(guesses[:, 0], records.labels.numpy(), len(names))
    if out is not None:
        write_matrix(out / "confusion.csv", matrix, names)
    return most_confused(matrix, names)
