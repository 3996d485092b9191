"""Evaluation of whole data sets from a file of predictions.

There is no peer: nobody else has these two metrics.  The predictions are made so that the right answer is known, and
each row says whether it came out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from resdet.benchmarks.timing import Row, alone
from resdet.data.records import Classes, Record, Records, pack
from resdet.eval.det import det_metrics
from resdet.eval.loc import loc_metrics, loc_outcomes
from resdet.predictions.devkit import class_numbers
from resdet.predictions.loc import MAX_GUESSES
from resdet.predictions.read import read_det, read_loc

WIDTH, HEIGHT = 500, 375
BOXES = 3  # true ones in an image of detection


def rows(
    device: torch.device, *, loc_images: int = 50_000, det_images: int = 20_000, detections: int = 50, runs: int = 3
) -> Iterator[Row]:
    """Localization of ILSVRC's validation images, then DET's with ``detections`` in each; files in the kits' forms.

    Args:
        device: has no part in it.
    """
    with tempfile.TemporaryDirectory() as work:
        yield _localization(Path(work) / "loc.txt", loc_images, runs)
        yield _detection(Path(work) / "det.txt", det_images, detections, runs)


def _localization(file: Path, images: int, runs: int) -> Row:
    """Every fourth image has its class among the guesses and a box that hits, every fourth a box that misses."""
    classes = _classes(1000)
    boxes = _drawn_boxes(images)
    records = pack(
        Path("benchmark"),
        classes,
        (Record(f"{i:08d}.JPEG", i % 1000, [tuple(boxes[i].tolist())], size=(WIDTH, HEIGHT)) for i in range(images)),
    )
    numbers = class_numbers(classes)
    lines = []
    for i, (x1, y1, x2, y2) in enumerate(boxes.astype(int).tolist()):
        guesses = [(i + 1 + j) % 1000 for j in range(MAX_GUESSES)]  # wrong ones
        guesses[i % MAX_GUESSES] = i % 1000 if i % 4 < 2 else guesses[i % MAX_GUESSES]
        place = f"{x1} {y1} {x2 - 1} {y2 - 1}" if i % 4 == 0 else f"{x1} {y1} {x1} {y1}"
        lines.append(" ".join(f"{numbers[guess]} {place}" for guess in guesses))
    file.write_text("\n".join(lines) + "\n")
    right = np.arange(images) % 4 == 0

    def evaluate() -> bool:
        outcomes = loc_outcomes(read_loc(file, records), records)
        found = loc_metrics(outcomes, np.zeros(images, dtype=bool))["loc_top5_error"]
        return bool(np.isclose(found, 100 - 100 * right.mean()))

    return alone(
        "eval", f"localization of {images} images, {MAX_GUESSES} guesses each, from a file", evaluate, runs=runs
    )


def _detection(file: Path, images: int, detections: int, runs: int) -> Row:
    """Two true boxes of three are found, above all that is wrong: the average precision of every class is 2/3."""
    records = _objects(images)
    boxes = records.boxes.numpy().reshape(images, BOXES, 4)
    labels = records.box_labels.numpy().reshape(images, BOXES)
    rng = np.random.default_rng(1)
    lines = []
    for i in range(images):
        for k in range(BOXES - 1):
            x1, y1, x2, y2 = boxes[i, k].astype(int).tolist()
            lines.append(f"{i + 1} {labels[i, k] + 1} {0.5 + (i % 997) / 2000:.4f} {x1} {y1} {x2 - 1} {y2 - 1}")
        count = detections - BOXES + 1
        scores, wrong = rng.random(count) / 2, rng.integers(0, 200, count)
        corner = rng.integers(0, 300, (count, 2))
        for score, label, (x, y) in zip(scores.tolist(), wrong.tolist(), corner.tolist(), strict=True):
            lines.append(f"{i + 1} {label + 1} {score:.4f} {x} {y} {x + 3} {y + 3}")  # too small to hit
    file.write_text("\n".join(lines) + "\n")

    def evaluate() -> bool:
        found = det_metrics(read_det(file, records), records, "ilsvrc")["mAP"]
        return bool(np.isclose(found, 200 / 3))

    name = f"ILSVRC DET of {images} images, {images * detections} detections, from a file"
    return alone("eval", name, evaluate, runs=runs)


def _objects(images: int) -> Records:
    """Three boxes of one class an image, each in a third of it; numbered from 1 as DET's are."""
    third = WIDTH // BOXES
    rng = np.random.default_rng(0)
    sides = rng.integers(40, 150, (images, BOXES, 2))

    def record(i: int) -> Record:
        corners = [(k * third + 5, 20) for k in range(BOXES)]
        boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sides[i].tolist(), strict=True)]
        return Record(f"{i:08d}.JPEG", -1, boxes, [i % 200] * BOXES, size=(WIDTH, HEIGHT), number=i + 1)

    return pack(Path("benchmark"), _classes(200, numbered=True), (record(i) for i in range(images)))


def _classes(count: int, numbered: bool = False) -> Classes:
    names = tuple(f"class{i:04d}" for i in range(count))
    return Classes(names, names, tuple(range(1, count + 1))) if numbered else Classes(names, names)


def _drawn_boxes(images: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 200, (images, 2))
    return np.concatenate((corner, corner + rng.integers(30, 170, (images, 2))), 1).astype(float)
