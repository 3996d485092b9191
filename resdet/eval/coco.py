"""COCO's twelve numbers, by pycocotools itself or by faster-coco-eval, which does the same in compiled code.

The ground truth is the records', so that it is what training and the other metrics see, whatever format it came from.
What is marked ignored goes in as a crowd; so does a box of no area, which the reader of COCO marks: nothing can hit it.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdet.data.records import Records
from resdet.errors import UsageError
from resdet.eval.det_pairs import sides_of, truth_of
from resdet.predictions.det import DetPredictions
from resdet.predictions.numbering import class_numbers, image_numbers

BACKENDS = ("pycocotools", "faster-coco-eval")
# In the order of COCOeval.stats.  Small, medium and large: areas to 32^2, to 96^2, above; AR1: one detection an image
TWELVE = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
ANY_AREA, HUNDRED = 0, 2  # places of COCOeval's axes: areas, and detections an image and class
FARTHEST = 1e9  # pixels: pycocotools takes the NaN that comes of larger numbers for an overlap


def coco_metrics(
    predictions: DetPredictions, records: Records, backend: str
) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Each class's AP and the twelve numbers in percent, NaN where there is no object; see :func:`.det.det_metrics`.

    Raises:
        UsageError: an unknown back end, or one that is not installed.
    """
    evaluation = _evaluate(predictions, records, backend)
    precision = np.asarray(evaluation.eval["precision"])  # (IoU, recall, class, area, detections), -1: no object
    order = np.argsort(class_numbers(records.classes))  # pycocotools has classes in the order of their numbers
    per_class = np.full(len(order), np.nan)
    per_class[order] = [_mean(precision[:, :, k, ANY_AREA, HUNDRED]) for k in range(len(order))]
    stats = [100 * float(value) if value > -1 else np.nan for value in evaluation.stats]
    return per_class, dict(zip(TWELVE, stats, strict=True))


def _evaluate(predictions: DetPredictions, records: Records, backend: str) -> Any:
    """A ``COCOeval`` whose ``eval`` and ``stats`` are there."""
    with contextlib.redirect_stdout(io.StringIO()):  # they print their progress
        make_index, make_evaluation = _backend(backend)
        truth = _index(make_index(), records, _truth_rows(records))
        found = _index(make_index(), records, _found_rows(predictions, records))
        evaluation = make_evaluation(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _backend(name: str) -> tuple[Any, Any]:
    if name == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        return COCO, COCOeval
    if name == "faster-coco-eval":
        try:
            from faster_coco_eval import COCO, COCOeval_faster
        except ImportError:
            raise UsageError("--coco-backend faster-coco-eval is not installed: pip install faster-coco-eval") from None
        return COCO, COCOeval_faster
    raise UsageError(f"--coco-backend {name!r}: wanted one of {', '.join(BACKENDS)}")


def _index(coco: Any, records: Records, annotations: list[dict[str, Any]]) -> Any:
    coco.dataset = {
        "images": [{"id": number} for number in image_numbers(records).tolist()],
        "categories": [{"id": number} for number in class_numbers(records.classes).tolist()],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _truth_rows(records: Records) -> list[dict[str, Any]]:
    """Crowds are told apart, and an object is as large as its outline, where the annotation knows that, not its box."""
    truth = truth_of(records)
    rows = _rows(truth.images, truth.labels, truth.boxes, records)
    outlines = records.box_areas.tolist() or [-1.0] * len(rows)
    return [
        row | {"iscrowd": int(crowd), "area": outline if outline >= 0 else row["area"]}
        for row, crowd, outline in zip(rows, truth.ignored.tolist(), outlines, strict=True)
    ]


def _found_rows(predictions: DetPredictions, records: Records) -> list[dict[str, Any]]:
    rows = _rows(predictions.images, predictions.labels, predictions.boxes, records)
    return [row | {"iscrowd": 0, "score": score} for row, score in zip(rows, predictions.scores.tolist(), strict=True)]


def _rows(
    images: NDArray[np.int64], labels: NDArray[np.int64], boxes: NDArray[np.float64], records: Records
) -> list[dict[str, Any]]:
    edges = boxes.clip(-FARTHEST, FARTHEST)
    sides = sides_of(edges).clip(min=0)  # a box that is upside down has no area
    xywh = np.concatenate((edges[:, :2], sides), axis=1).tolist()
    image_ids = image_numbers(records)[images].tolist()
    class_ids = class_numbers(records.classes)[labels].tolist()
    columns = zip(image_ids, class_ids, xywh, sides.prod(1).tolist(), strict=True)
    return [
        {"id": number, "image_id": image, "category_id": label, "bbox": box, "area": size}
        for number, (image, label, box, size) in enumerate(columns, 1)  # from 1: 0 means no match in there
    ]


def _mean(values: NDArray[np.float64]) -> float:
    known = values[values > -1]
    return 100 * float(known.mean()) if len(known) else np.nan
