"""Checkpoints: tensors and plain types only, written whole or not at all."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resdet.errors import InputError

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A model and where it comes from."""

    task: str  # "cls" or "loc"
    config: dict[str, Any]  # every setting, nested
    class_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    step: int
    model: dict[str, Tensor]  # what is evaluated: the averaged weights where training keeps them
    metrics: dict[str, Any] = field(default_factory=dict)  # of the last evaluation
    resume: dict[str, Any] = field(default_factory=dict)  # what training continues from; empty in best.pt


def save(file: Path, checkpoint: Checkpoint) -> None:
    """Write to a file beside ``file``, flush it to the disk, then rename: readers see the old one or the new."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    with part.open("wb") as stream:
        torch.save({"format": FORMAT, **vars(checkpoint)}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)


def is_checkpoint(content: Any) -> bool:
    """Whether loaded content is one of our checkpoints (and not a bare state dict)."""
    return isinstance(content, dict) and "format" in content and "model" in content


def load(file: Path) -> Checkpoint:
    """Read a checkpoint without running any code that it might hold.

    Raises:
        InputError: no such file, damaged, not a checkpoint of resdet's, or one of a newer format.
    """
    content = read_tensors(file)
    if not is_checkpoint(content):
        raise InputError(f"{file}: not a checkpoint of resdet's (a bare state dict is named torchvision:NAME={file})")
    if content["format"] != FORMAT:
        raise InputError(f"{file}: format {content['format']}, this version reads {FORMAT}")
    return Checkpoint(**{k: v for k, v in content.items() if k != "format"})


def read_tensors(file: Path) -> Any:
    """``torch.load`` of tensors and plain types, every failure one line that names the file."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except pickle.UnpicklingError as error:
        raise InputError(f"{file}: refused, it holds more than tensors and plain types: {_line(error)}") from None
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        raise InputError(f"{file}: damaged or not a checkpoint: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
