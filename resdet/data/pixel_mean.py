"""The file of a mean image: numpy's, without pickle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resdet.errors import InputError


def write(file: Path, mean: Tensor) -> None:
    """Write a ``(3, size, size)`` mean of RGB in 0 .. 255 as float32."""
    with file.open("wb") as stream:  # given a name, numpy would add an ending to it
        np.save(stream, mean.numpy().astype(np.float32), allow_pickle=False)


def read(file: Path, size: int) -> Tensor:
    """``(3, size, size)`` float32 from what :func:`write` wrote.

    Raises:
        InputError: missing, no array file, of another size, or with values that are not in 0 .. 255.
    """
    try:
        mean = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; datasets/color_statistics.py makes a mean image") from None
    except Exception as error:  # numpy parses a header as Python and raises whatever that trips over: SyntaxError...
        raise InputError(
            f"{file}: wanted a mean image in numpy's .npy format: {' '.join(str(error).split())}"
        ) from None
    if not isinstance(mean, np.ndarray) or mean.dtype != np.float32:
        raise InputError(f"{file}: wanted one float32 array, got {getattr(mean, 'dtype', 'an archive of several')}")
    if mean.shape != (3, size, size):
        raise InputError(f"{file}: wanted a mean image of data.size, (3, {size}, {size}), got {mean.shape}")
    if not (mean.min() >= 0 and mean.max() <= 255):
        raise InputError(f"{file}: wanted means of RGB in 0 .. 255, got {mean.min()} to {mean.max()}")
    return torch.from_numpy(mean)
