"""Files of tensors: ``torch.save``'s, safetensors and pickled arrays, read without running any code in them."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch

from resdet.array_pickle import read_array_pickle
from resdet.errors import InputError

LARGEST_RATIO = 100  # unpacked size by file size


def read_tensors(file: Path) -> Any:
    """What a file holds, its tensors on the CPU; a ``.safetensors`` file is a dict of tensors.

    A ``.pkl`` file that is not ``torch.save``'s is one of detectron's, with arrays of numpy's for tensors.

    Raises:
        InputError: no such file, damaged, or more than tensors and plain types in it.
    """
    if not file.is_file():
        raise InputError(f"{file}: wanted a file of weights, got {'a folder' if file.is_dir() else 'no such file'}")
    try:
        if file.suffix == ".safetensors":
            return _read_safetensors(file)
        return read_array_pickle(file) if file.suffix == ".pkl" and not is_zipfile(file) else _read_torch(file)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(f"{file}: {_why_refused(error)}") from None
    except Exception as error:  # torch's unpickler trips over foreign bytes in every way: IndexError, TypeError...
        raise InputError(f"{file}: damaged, or not a file of weights: {first_sentence(error)}") from None


def _read_torch(file: Path) -> Any:
    if is_zipfile(file):
        with ZipFile(file) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
        if unpacked > LARGEST_RATIO * file.stat().st_size:  # torch.save does not compress
            raise InputError(f"{file}: refused, it would unpack to {unpacked >> 20} MB, {LARGEST_RATIO} times its size")
    with warnings.catch_warnings():  # about a pickle that is none of torch's; the error says so
        warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
        return torch.load(file, map_location="cpu", weights_only=True)


def _read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def _why_refused(error: pickle.UnpicklingError) -> str:
    """Torch's page of advice, among it how to run the file's code all the same, in a few words."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    if found:
        return f"refused, wanted tensors and plain types only, got {found[1]}, which could run code"
    return "damaged, or not a file of weights"


def first_sentence(error: Exception) -> str:
    """An error's text up to its first full stop, on one line: torch's go on for a page."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(". ")[0][:200]
