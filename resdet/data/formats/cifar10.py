"""CIFAR-10: 50,000 training and 10,000 test images of 32x32 in ten classes, in the files that its authors give out.

ROOT holds one of these, or is one:

- ``cifar-10-batches-bin`` (``cifar-10-binary.tar.gz``): plain bytes, a label and 3 x 32 x 32 pixels an image.
- ``cifar-10-batches-py`` (``cifar-10-python.tar.gz``, which torchvision downloads): pickles, read by torchvision's own
  reader after it has found the MD5 sum of every file to be the authors'.  They are the only pickles that are opened
  anywhere here, and never others than those very files; the binary form needs none.

The images are kept in memory, shared by the loader's workers: 154 MB for ``train``.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from resdet.data.records import Classes, Record, Records, pack
from resdet.errors import InputError

LAYOUT = "cifar-10-batches-bin or cifar-10-batches-py"
BINARY, PICKLED = "cifar-10-batches-bin", "cifar-10-batches-py"
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}
IMAGES = 10_000  # a batch
SIDE = 32


def read(root: Path, split: str) -> Records:
    """Read ``train`` or ``test``, the authors' split, in the order of their files.

    An image's path names its batch and its place there; there is no such file.

    Raises:
        InputError: another split; neither folder; a file that is missing, of another size or other content.
    """
    if split not in BATCHES:
        raise InputError(f"{root}: cifar10 has the splits train and test, got {split!r}")
    if folder := _find(root, BINARY):
        pixels, labels = _read_binary(folder, split)
    elif folder := _find(root, PICKLED):
        pixels, labels = _read_pickled(folder, split)
    else:
        raise InputError(f"{root}: wanted {LAYOUT} in it")
    each = len(labels) // len(BATCHES[split])
    names = (f"{batch}/{batch}_{number:05d}" for batch in BATCHES[split] for number in range(each))
    rows = (Record(name, label, size=(SIDE, SIDE)) for name, label in zip(names, labels.tolist(), strict=True))
    records = pack(folder, Classes(NAMES, NAMES), rows)
    return replace(records, pixels=torch.from_numpy(pixels).share_memory_())


def _find(root: Path, name: str) -> Path | None:
    return next((folder for folder in (root / name, root) if folder.name == name and folder.is_dir()), None)


def _read_binary(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """``(N, 32, 32, 3)`` uint8 pixels and ``(N,)`` labels."""
    pixels, labels = [], []
    for batch in BATCHES[split]:
        file = folder / f"{batch}.bin"
        try:
            data = np.fromfile(file, dtype=np.uint8)
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}; wanted a batch of CIFAR-10") from None
        row = 1 + 3 * SIDE * SIDE
        if len(data) != IMAGES * row:
            raise InputError(f"{file}: wanted {IMAGES} images of {row} bytes, got {len(data)} bytes")
        rows = data.reshape(IMAGES, row)
        if (strange := np.flatnonzero(rows[:, 0] >= len(NAMES))).size:
            raise InputError(f"{file}: image {strange[0]}: wanted a label of 0 to 9, got {rows[strange[0], 0]}")
        labels.append(rows[:, 0])
        pixels.append(rows[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
    return np.concatenate(pixels), np.concatenate(labels)


def _read_pickled(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    from torchvision.datasets import CIFAR10  # here: only this needs it

    try:
        with warnings.catch_warnings():  # numpy about how the numpy of 2009 pickled
            warnings.simplefilter("ignore")
            found = CIFAR10(str(folder.parent), train=split == "train", download=False)
    except RuntimeError:
        raise InputError(_what_is_wrong(folder)) from None
    return np.ascontiguousarray(found.data), np.array(found.targets)


def _what_is_wrong(folder: Path) -> str:
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    sums = [*CIFAR10.train_list, *CIFAR10.test_list, [CIFAR10.meta["filename"], CIFAR10.meta["md5"]]]
    for name, md5 in sums:
        file = folder / name
        if not file.is_file():
            return f"{file}: not found; wanted all of cifar-10-python.tar.gz"
        if not check_integrity(str(file), md5):
            return f"{file}: not the authors' file (its MD5 sum is another), and so not unpickled"
    return f"{folder}: torchvision cannot read it"
