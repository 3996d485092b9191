"""Data sets and detections for the tests of detection's metrics, from plain lists, and a strategy that draws them."""

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from resdet.data.records import Classes, Record, pack
from resdet.predictions.det import predictions

NAMES = ("ant", "bee", "cat")


def records_of(images, names=NAMES, size=(500, 400), areas=None):
    """Records from a list of ``(label, inclusive box)`` or ``(label, inclusive box, ignored)`` an image."""
    rows = []
    for number, objects in enumerate(images, 1):
        boxes = [continuous(box) for _, box, *_ in objects]
        ignored = [bool(flag and flag[0]) for _, _, *flag in objects]
        known = None if areas is None else areas[number - 1]
        labels = [label for label, *_ in objects]
        rows.append(Record(f"val/{number:04d}.jpg", -1, boxes, labels, ignored, size, number, known))
    return pack(Path("set"), Classes(names, names, tuple(range(1, len(names) + 1))), rows)


def found_in(images):
    """Detections from a list of ``(label, score, inclusive box)`` an image."""
    rows = [(i, *row) for i, objects in enumerate(images) for row in objects]
    boxes = [continuous(box) for *_, box in rows]
    return predictions([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], boxes)


def truth_as_found(records, keep_ignored=True):
    """The true boxes as detections."""
    images = records.box_images().numpy()
    keep = np.ones(len(images), dtype=bool) if keep_ignored else ~records.box_ignored.numpy()
    scores = np.linspace(0.9, 0.1, len(images))
    return predictions(images, records.box_labels.numpy(), scores, records.boxes.numpy())[keep]


def continuous(box):
    x1, y1, x2, y2 = box
    return (x1, y1, x2 + 1, y2 + 1)


@st.composite
def judged_sets(draw, images=4, side=7):
    """``(true objects, detections)`` of a few images: small boxes on a small grid, so that ties and overlaps abound."""
    edge = st.integers(0, side)

    def box():
        x, y, w, h = (draw(edge) for _ in range(4))
        return (x, y, x + w, y + h)

    label = st.integers(0, len(NAMES) - 1)
    truth, found = [], []
    for _ in range(images):
        truth.append([(draw(label), box(), draw(st.integers(0, 3)) == 0) for _ in range(draw(st.integers(0, 4)))])
        near = [box_ for _, box_, _ in truth[-1]]
        found.append([])
        for _ in range(draw(st.integers(0, 7))):
            chosen = draw(st.sampled_from(near)) if near and draw(st.booleans()) else box()
            found[-1].append((draw(label), draw(st.sampled_from((0.9, 0.5, 0.5, 0.25, 0.1))), chosen))
    return truth, found
