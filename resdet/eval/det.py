"""Detection's numbers: average precision of each class, in percent, and their mean, by one of four metrics.

``ilsvrc``: the ImageNet DET development kit's; ``voc07``: PASCAL VOC 2007's eleven points; ``voc12``: VOC's since
2010, the area; ``coco``: pycocotools' twelve numbers.  What is right is for :mod:`resdet.eval.det_rules` to say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdet.data.folder_tree import at_home
from resdet.data.formats import SUM, split_spec
from resdet.data.formats.voc_files import find_tree
from resdet.data.records import Records
from resdet.errors import InputError
from resdet.eval.average_precision import averages
from resdet.eval.coco import coco_metrics
from resdet.eval.det_rules import check_predictions, judge
from resdet.predictions.det import DetPredictions


def default_metric(spec: str) -> str:
    """The metric of a data set's own evaluation, by its name ``FORMAT:ROOT[:SPLIT]``.

    ILSVRC DET and COCO have theirs.  For VOC it is the area, but eleven points where the root folder is called
    ``VOC2007``: results on that set are compared so, He et al.'s Table 10 too.  Any other set, and sets joined whose
    metrics differ: the area.
    """
    metrics = {_own_metric(part.strip()) for part in spec.split(SUM)}
    return metrics.pop() if len(metrics) == 1 else "voc12"


def det_metrics(
    predictions: DetPredictions,
    records: Records,
    metric: str,
    *,
    left_out: NDArray[np.int64] | None = None,
    backend: str = "pycocotools",
) -> dict[str, Any]:
    """The numbers that ``eval_det`` reports, all in percent.

    ``mAP`` and ``median_AP`` are over the classes that have a true box, ``mAP_all_classes`` counts the others 0, as
    ILSVRC's kit prints it; in ``per_class``, which goes by :meth:`.Classes.told_apart`, they are null.  COCO's twelve
    numbers are null where no object has the size that they ask for.

    Args:
        left_out: for ``ilsvrc``: see :func:`resdet.eval.det_rules.judge`.
        backend: for ``coco``: ``pycocotools`` or ``faster-coco-eval``.

    Raises:
        InputError: no true box that counts.
        ValueError: no such metric, or a detection of an image or a label that the records do not have.
    """
    check_boxes(records, metric)
    check_predictions(predictions, records, metric)
    numbers: dict[str, float] = {}
    if metric == "coco":
        per_class, numbers = coco_metrics(predictions, records, backend)
    else:
        judged = judge(predictions, records, metric, left_out)
        per_class = 100 * averages(judged.curves(), judged.average)
    known = per_class[~np.isnan(per_class)]
    if not len(known):
        raise InputError(f"{records.root}: every true box is left out: nothing to evaluate on")
    return {
        "metric": metric,
        "images": len(records),
        "mAP": float(known.mean()),
        "median_AP": float(np.median(known)),
        "mAP_all_classes": float(known.sum() / len(per_class)),
        "per_class": dict(zip(records.classes.told_apart(), map(_known, per_class.tolist()), strict=True)),
        **{name: _known(value) for name, value in numbers.items()},
    }


def check_boxes(records: Records, metric: str) -> None:
    """Make sure, before hours of work, that there is something to hold detections against.

    Raises:
        InputError: no images, or not one true box that counts.
    """
    if not len(records):
        raise InputError(f"{records.root}: no images to evaluate on")
    counting = len(records.boxes) if metric == "ilsvrc" else int((~records.box_ignored).sum())
    if not counting:
        raise InputError(f"{records.root}: not one of the {len(records)} images has a box to hold detections against")


def _own_metric(spec: str) -> str:
    name, root, _ = split_spec(spec)
    if name == "voc" and "VOC2007" in (*root.replace("\\", "/").split("/"), *_tree_folders(root)):
        return "voc07"
    return {"ilsvrc-det": "ilsvrc", "coco": "coco"}.get(name, "voc12")


def _tree_folders(root: str) -> tuple[str, ...]:
    """The names of the folders that VOC's tree lies in, where ``root`` is one above it, a link, or ``.``."""
    try:
        return find_tree(at_home(root)).base.resolve().parts
    except InputError:  # it is told when the set is read
        return ()


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
