"""What ``tools/eval_det.py`` reports: the metrics, pictures of them, and the detections in the data set's form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdet.data.formats import split_spec
from resdet.data.records import Records
from resdet.eval.average_precision import averages
from resdet.eval.confusion import box_confusion, most_confused, write_matrix
from resdet.eval.det import det_metrics
from resdet.eval.det_errors import error_costs
from resdet.eval.det_rules import judge
from resdet.predictions import det_voc
from resdet.predictions.det import DetPredictions
from resdet.predictions.write import FORMS, write_det
from resdet.report import pictures
from resdet.report.pr_curves import pr_page


def evaluate(
    predictions: DetPredictions,
    records: Records,
    metric: str,
    left_out: NDArray[np.int64] | None = None,
    *,
    backend: str = "pycocotools",
    errors: bool = False,
    pictures_to: Path | None = None,
) -> dict[str, Any]:
    """The metrics of :func:`resdet.eval.det.det_metrics`, with ``errors`` and ``confused`` where they are asked for.

    Args:
        pictures_to: a folder for ``pr.png``, precision against recall of each class; at an IoU of 0.5 for COCO; and,
            with ``errors``, for ``confusion.csv``.
    """
    metrics = det_metrics(predictions, records, metric, left_out=left_out, backend=backend)
    if not errors and pictures_to is None:
        return metrics
    names = records.classes.told_apart()
    judged = judge(predictions, records, metric, left_out)  # once more: seconds, where a million boxes were read
    if errors:
        metrics["errors"] = error_costs(judged)
        matrix = box_confusion(predictions, records, left_out=left_out, crowds=metric == "coco")
        metrics["confused"] = most_confused(matrix, names)
        if pictures_to is not None:
            write_matrix(pictures_to / "confusion.csv", matrix, names)
    if pictures_to is not None:
        curves = judged.curves()
        ap = (100 * averages(curves, judged.average)).tolist()
        page = pr_page(names, curves, ap, "AP50" if metric == "coco" else "AP")
        pictures.save(pictures_to / "pr.png", page)
    return metrics


def write_predictions(folder: Path, predictions: DetPredictions, records: Records, spec: str) -> str:
    """Write detections in the form of the data set that ``spec`` names; see :func:`resdet.predictions.write.write_det`.

    Returns:
        Why they are in another form, and where, in one line; empty where they are not.
    """
    form = FORMS.get(split_spec(spec)[0], "devkit")
    file = write_det(folder, predictions, records, form)
    why = det_voc.fault(records) if form == "voc" else ""
    return f"{why}: the detections are in {file}" if why else ""
