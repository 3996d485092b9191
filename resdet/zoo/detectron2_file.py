"""detectron's and detectron2's files of weights: what is in them, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from resdet.backbones.weights import checked_state
from resdet.errors import InputError
from resdet.tensor_file import read_tensors

PREFIX = "detectron2:"
# BGR in 0 .. 255 as its models have it unless their config says otherwise; here in RGB order
MEAN, STD = (123.675, 116.28, 103.53), (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class PublishedState:
    """A file's tensors under the names they have there."""

    tensors: dict[str, Tensor]
    author: str  # "torchvision" for its networks, which see RGB; empty where it does not say


def read_published(name: str) -> PublishedState:
    """What lies in the file of ``detectron2:NAME=FILE``: a ``.pkl`` of arrays or a ``.pth`` of tensors.

    Raises:
        InputError: no file is named, it cannot be read, or holds more than tensors and plain types.
    """
    wanted, _, file = name.partition("=")
    if not file:
        raise InputError(f"{name}: detectron2's weights are read from a file: download it and name {wanted}=FILE")
    content = read_tensors(Path(file))
    author = content.get("__author__") if isinstance(content, dict) else None
    for key in ("model", "blobs"):  # detectron2 and whoever trains with it; detectron's detectors
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if isinstance(content, dict):  # detectron kept its optimizer's state beside the weights
        content = {key: value for key, value in content.items() if not str(key).endswith("_momentum")}
    return PublishedState(checked_state(content, file), author if isinstance(author, str) else "")
