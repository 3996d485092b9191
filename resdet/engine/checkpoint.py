"""Checkpoints: tensors and plain types only, written whole or not at all."""

from __future__ import annotations

import errno
import lzma
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resdet.engine import safetensors_form
from resdet.errors import ForeignFile, InputError
from resdet.tensor_file import read_tensors
from resdet.whole_file import beside

FORMAT = 1
# of damaged bytes, and of kinds of zip that torch does not write: packed otherwise, encrypted
ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(ValueError, OverflowError, RuntimeError),
)
NOT_FOR_FOLDERS = (errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS)  # fsync of one, on some network disks


@dataclass(frozen=True)
class Checkpoint:
    """A model and where it comes from."""

    task: str  # "cls", "loc", "rcnn" or "det"
    config: dict[str, Any]  # every setting, nested
    class_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    step: int
    model: dict[str, Tensor]  # what is evaluated: the averaged weights where training keeps them
    metrics: dict[str, Any] = field(default_factory=dict)  # of the last evaluation
    resume: dict[str, Any] = field(default_factory=dict)  # what training continues from; empty in best.pt


def save(file: Path, checkpoint: Checkpoint) -> None:
    """Write to a file beside ``file``, flush it to the disk, then rename: readers see the old one or the new.

    A name that ends in ``.safetensors`` gets that form, without what training resumes from.

    Raises:
        OSError: it cannot be written, the disk is full for one; ``file`` is as it was.
    """
    rename(write_beside(file, checkpoint), file)


def write_beside(file: Path, checkpoint: Checkpoint) -> Path:
    """The first half of :func:`save`: the whole checkpoint, on the disk under another name, which is returned."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT, **vars(checkpoint), "metrics": _plain(checkpoint.metrics)}
    with beside(file) as part, part.open("wb") as stream:
        if file.suffix == ".safetensors":
            described = {key: value for key, value in content.items() if key not in ("model", "resume")}
            stream.write(safetensors_form.encode(described, checkpoint.model))
        else:
            torch.save(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    return part


def rename(part: Path, file: Path) -> None:
    """The second half of :func:`save`; after a power cut, too, the name is one of the two files'."""
    part.replace(file)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        except OSError as error:
            if error.errno not in NOT_FOR_FOLDERS:
                raise
        finally:
            os.close(folder)


def load(file: Path) -> Checkpoint:
    """Read a checkpoint without running any code that it might hold.

    Raises:
        ForeignFile: not a checkpoint of resdet's.
        InputError: no such file, damaged, or a checkpoint of a newer format.
    """
    is_safetensors = file.suffix == ".safetensors"
    content = {"resume": {}, **safetensors_form.decode(file)} if is_safetensors else read_tensors(file)
    if not isinstance(content, dict) or not {"format", "model"} <= set(content):
        raise ForeignFile(f"{file}: not a checkpoint of resdet's (a bare state dict is named torchvision:NAME={file})")
    if not isinstance(content["format"], int) or content["format"] != FORMAT:
        raise InputError(f"{file}: a checkpoint of format {content['format']}, this version reads {FORMAT}")
    names = [f.name for f in fields(Checkpoint)]
    missing = [name for name in names if name not in content]
    if missing or not isinstance(content["model"], dict):
        raise InputError(f"{file}: a checkpoint without {missing[0] if missing else 'weights'}: not one of resdet's")
    if not is_safetensors:
        _check_sums(file)
    _check_types(file, content)
    return Checkpoint(**{name: content[name] for name in names})


def _check_sums(file: Path) -> None:
    """The zip's checksums, which torch writes and does not look at: changed weights would only be bad at their task."""
    try:
        with zipfile.ZipFile(file) as parts:
            damaged = parts.testzip()
    except ZIP_ERRORS as error:
        raise InputError(f"{file}: damaged: {error}") from None
    if damaged:
        raise InputError(f"{file}: damaged: {damaged} is not as it was written")


def _check_types(file: Path, content: dict[str, Any]) -> None:
    """What is of another kind would be found out late, and by something that cannot name the file."""
    kinds = {"task": str, "config": dict, "step": int, "metrics": dict, "resume": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(content[name], kind)]
    for name in ("class_ids", "class_names"):
        words = content[name]
        if not isinstance(words, tuple | list) or not all(isinstance(word, str) for word in words):
            wrong.append(name)
    if not wrong and (len(content["class_ids"]) != len(content["class_names"])):
        wrong.append("class_names")
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in content["model"].items()):
        wrong.append("model")
    if not wrong and len(set(content["class_ids"])) < len(content["class_ids"]):
        wrong.append("class_ids")
    if wrong:
        raise InputError(f"{file}: not a checkpoint of resdet's: its {wrong[0]!r} is not as it is written here")


def _plain(value: Any) -> Any:
    """Numbers of numpy's as Python's own: ``weights_only`` loading refuses to make them."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value.item() if isinstance(value, np.generic) else value
