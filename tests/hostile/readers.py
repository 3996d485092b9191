"""A reader of files that come from elsewhere, and what has to hold of what any of them reads."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from resdet.data.image import image_size, load_image
from resdet.data.records import Records
from resdet.data.stored_image import open_image
from resdet.engine import checkpoint
from resdet.predictions.det import DetPredictions
from resdet.predictions.loc import LocPredictions
from resdet.structures import View


@dataclass(frozen=True)
class Reader:
    """One kind of file that is damaged, and how it is read."""

    path: str  # of the file, from a folder
    content: bytes
    read: Callable[[Path], object]  # given the folder; checks what it read
    others: dict[str, bytes] = field(default_factory=dict)  # files that lie around it


def check_records(records: Records) -> None:
    assert torch.isfinite(records.boxes).all()
    assert (records.boxes[:, 2:] >= records.boxes[:, :2]).all()
    assert ((records.boxes[:, 2:] > records.boxes[:, :2]).all(1) | records.box_ignored).all()
    assert ((records.box_labels >= 0) & (records.box_labels < len(records.classes))).all()
    assert ((records.labels >= -1) & (records.labels < len(records.classes))).all()
    assert len(records.box_labels) == records.box_counts().sum() == len(records.box_ignored)
    assert (records.sizes >= 0).all()
    for index in range(len(records)):
        file = records.file(index)
        assert records.root in file.parents
        assert ".." not in file.parts
        assert "\0" not in str(file)


def check_image(folder: Path, name: str) -> None:
    """Whole, by its header, and as training reads it; what can be decoded can be decoded by each."""
    pixels = load_image(folder / name)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    assert min(pixels.shape) > 0
    stored = open_image(folder / name)
    assert (stored.height, stored.width) == pixels.shape[:2]
    width, height = image_size(folder / name)
    assert min(width, height) > 0
    view = View((0, 0, stored.width, stored.height), 16, 16)
    assert stored.view(view, exact=False).shape == (16, 16, 3)


def check_loc(found: LocPredictions) -> None:
    assert np.isfinite(found.boxes).all()
    assert ((found.labels >= -1) & (found.labels < 2)).all()
    assert len(found) == 3


def check_det(found: DetPredictions) -> None:
    assert np.isfinite(found.boxes).all()
    assert np.isfinite(found.scores).all()
    assert ((found.labels >= 0) & (found.labels < 2)).all()
    assert ((found.images >= 0) & (found.images < 3)).all()


def check_tree(value: object, depth: int = 0) -> None:
    """Tensors and plain types."""
    assert isinstance(
        value,
        torch.Tensor
        | str
        | bytes
        | bool
        | int
        | float
        | complex
        | dict
        | list
        | tuple
        | set
        | None
        | torch.Size
        | torch.dtype,
    ), type(value)


def check_checkpoint(file: Path) -> None:
    saved = checkpoint.load(file)
    assert isinstance(saved.task, str)
    assert isinstance(saved.step, int)
    assert isinstance(saved.config, dict)
    assert all(isinstance(word, str) for word in (*saved.class_ids, *saved.class_names))
    assert len(saved.class_ids) == len(saved.class_names) == len(set(saved.class_ids))
    assert all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in saved.model.items())
    assert isinstance(saved.resume, dict)
