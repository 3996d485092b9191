"""Classifiers and localizers as one function of the pixels, for runtimes that know neither torch nor resdet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resdet.boxes.geometry import clip
from resdet.errors import InputError
from resdet.models.classifier import Classifier
from resdet.models.pcr import AnyLocalizer
from resdet.predictions.loc import MAX_GUESSES

NEEDED = ("onnx", "onnxscript")  # torch has the exporter, these the format


class Classes(nn.Module):
    """uint8 RGB pixels to the probabilities of all classes."""

    outputs = ("probabilities",)

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` uint8 -> ``(B, K)``."""
        return self.model.classify(images)


class ClassesAndBoxes(nn.Module):
    """The same, and one box for each of the most probable classes."""

    outputs = ("probabilities", "labels", "boxes", "box_scores")

    def __init__(self, model: AnyLocalizer) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``(B, 3, H, W)`` uint8 -> probabilities ``(B, K)`` and, of the k best classes, what ``locate`` says at once.

        labels ``(B, k)`` best first, boxes ``(B, k, 4)`` in pixels of the input and clipped to it, and the scores
        ``(B, k)`` of the anchors that they come from.
        """
        maps = self.model.features(images)
        probabilities = self.model.class_logits(maps).softmax(1)
        labels = probabilities.topk(min(MAX_GUESSES, probabilities.shape[1]), 1).indices
        scores, boxes = self.model.boxes(maps, labels)  # (B, k, P), (B, k, P, 4)
        score, index = scores.max(-1)
        best = boxes.gather(2, index[..., None, None].expand(-1, -1, 1, 4)).squeeze(2)
        size = torch.tensor([images.shape[3], images.shape[2]], dtype=best.dtype)
        return probabilities, labels, clip(best, size), score


def as_function(model: Classifier | AnyLocalizer) -> Classes | ClassesAndBoxes:
    """What a model is exported as."""
    return ClassesAndBoxes(model) if isinstance(model, AnyLocalizer) else Classes(model)


def write_onnx(file: Path, model: Classifier | AnyLocalizer, size: int, described: Mapping[str, Any]) -> None:
    """Write a model in evaluation mode for batches of any number of ``size x size`` images.

    Args:
        described: plain types, JSON in the model's metadata under ``resdet``.

    Raises:
        InputError: a package that this needs is not installed.
    """
    function = as_function(model).eval()
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(f"{file}: ONNX needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    program = torch.onnx.export(
        function,
        (torch.zeros(2, 3, size, size, dtype=torch.uint8),),  # 2: a batch of 1 would be taken for the only one
        dynamo=True,
        input_names=["images"],
        output_names=list(function.outputs),
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        verbose=False,
    )
    assert program is not None  # with dynamo it is a program
    program.model.metadata_props["resdet"] = json.dumps(described)
    part = file.with_name(file.name + ".part")
    program.save(str(part), external_data=False)
    part.replace(file)
