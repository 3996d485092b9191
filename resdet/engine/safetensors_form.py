"""A checkpoint as a safetensors file: the weights, and all that describes them as JSON in the file's header.

The header's entry ``resdet`` is an object with ``format``, ``task``, ``config``, ``class_ids``, ``class_names``,
``step`` and ``metrics``, so that any reader of such files can have it without running or guessing anything.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from resdet.errors import ForeignFile, InputError
from resdet.tensor_file import read_tensors

ENTRY = "resdet"


def encode(described: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """The file's content: ``tensors``, which are made contiguous, and plain types that describe them."""
    from safetensors.torch import save

    header = {"format": "pt", ENTRY: json.dumps(_finite(described), allow_nan=False)}
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, header)


def decode(file: Path) -> dict[str, Any]:
    """What :func:`encode` was given, with the tensors under ``model``.

    Raises:
        ForeignFile: nothing describes its weights.
        InputError: no such file, or damaged.
    """
    from safetensors import safe_open

    tensors = read_tensors(file)
    with safe_open(file, framework="pt") as opened:
        header = (opened.metadata() or {}).get(ENTRY)
    if header is None:
        raise ForeignFile(f"{file}: not a checkpoint of resdet's (a bare state dict is named torchvision:NAME={file})")
    try:
        described = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: damaged: its header's entry {ENTRY!r} is not JSON: {error}") from None
    if not isinstance(described, dict):
        raise InputError(
            f"{file}: damaged: its header's entry {ENTRY!r} is {type(described).__name__}, wanted an object"
        )
    lists = {key: tuple(value) for key, value in described.items() if isinstance(value, list)}  # JSON has no tuples
    return {**described, **lists, "model": tensors}


def _finite(value: Any) -> Any:
    """NaN and infinity as null: JSON has neither."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
