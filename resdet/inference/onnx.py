"""Models as one function of the pixels, exported to ONNX for runtimes without torch and resdet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from resdet.boxes.geometry import clip
from resdet.errors import InputError
from resdet.inference.det import DetProtocol
from resdet.inference.onnx_detector import Objects
from resdet.inference.onnx_operators import translations
from resdet.models.classifier import Classifier
from resdet.models.faster_rcnn import FasterRCNN
from resdet.models.pcr import AnyLocalizer
from resdet.predictions.loc import MAX_GUESSES
from resdet.whole_file import replacing

NEEDED = ("onnx", "onnxscript")  # torch has the exporter, these the format
LEAST_SIDE = 65  # pixels, of images of any size: each map of a detector has more than one cell then


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


Function = Classes | ClassesAndBoxes | Objects


def as_function(model: Classifier | AnyLocalizer | FasterRCNN, protocol: DetProtocol | None = None) -> Function:
    """What a model is exported as; a detector as ``protocol`` tests it, on one scale, without refinement and voting."""
    if isinstance(model, FasterRCNN):
        how = protocol or DetProtocol()
        return Objects(model, how.score_threshold, how.nms_iou, how.max_detections)
    return ClassesAndBoxes(model) if isinstance(model, AnyLocalizer) else Classes(model)


def write_onnx(file: Path, function: Function, size: int | None, described: Mapping[str, Any]) -> None:
    """Write a function of batches of any number of images.

    Args:
        size: of the images, which are ``size x size``; None: all of a batch have one size, any of at least
            :data:`LEAST_SIDE` pixels each way.
        described: plain types, JSON in the model's metadata under ``resdet``.

    Raises:
        InputError: a package that this needs is not installed.
        OSError: the file cannot be written; what was there before is as it was.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(f"{file}: ONNX needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    names = {0: "batch"} if size else {0: "batch", 2: "height", 3: "width"}
    free = {axis: Dim.DYNAMIC(min=LEAST_SIDE if axis else 1) for axis in names}
    # numbers that stand for any: 1 would be taken for the only one, two alike for one
    example = torch.zeros(2, 3, size or 2 * LEAST_SIDE, size or 3 * LEAST_SIDE, dtype=torch.uint8)
    # in two steps: in one, a number that the program cannot do without is silently the only one
    traced = torch.export.export(function.eval(), (example,), dynamic_shapes={"images": free})
    program = torch.onnx.export(
        traced,
        dynamo=True,
        input_names=["images"],
        output_names=list(function.outputs),
        dynamic_shapes={"images": names},
        custom_translation_table=translations(),
        verbose=False,
    )
    assert program is not None  # with dynamo it is a program
    program.model.metadata_props["resdet"] = json.dumps(described)
    with replacing(file) as part:
        program.save(str(part), external_data=False)
