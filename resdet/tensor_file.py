"""Files of tensors: ``torch.save``'s and safetensors, read without running any code that they might hold."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from resdet.errors import InputError


def read_tensors(file: Path) -> Any:
    """What a file holds, its tensors on the CPU; a ``.safetensors`` file is a dict of tensors.

    Raises:
        InputError: no such file, damaged, or more than tensors and plain types in it.
    """
    if file.is_dir():
        raise InputError(f"{file}: wanted a file of weights, got a folder")
    try:
        if file.suffix == ".safetensors":
            return _read_safetensors(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except pickle.UnpicklingError as error:
        raise InputError(f"{file}: refused, wanted tensors and plain types only: {first_sentence(error)}") from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise InputError(f"{file}: damaged, or not a file of weights: {first_sentence(error)}") from None


def _read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def first_sentence(error: Exception) -> str:
    """An error's text up to its first full stop, on one line: torch's go on for a page."""
    return " ".join(str(error).split()).split(". ")[0][:200]
