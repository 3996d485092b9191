"""A detection set in VOC's form, small enough to train on within a test."""

import cv2
import numpy as np

CLASSES = ("blue", "green", "red")  # as the set has them, sorted; OpenCV's channels are in this order too
TRAIN = ((96, 72), (72, 96), (96, 64), (96, 72), (80, 96), (96, 72))  # width, height
VAL = ((96, 72), (96, 64), (64, 96))


def draw(folder, names=CLASSES):
    """Noise with bright rectangles, a class a colour; every fifth image has none, one has a difficult one more."""
    rng = np.random.default_rng(0)
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    for split, sizes in (("train", TRAIN), ("val", VAL)):
        stems = [f"{split}{i}" for i in range(len(sizes))]
        for i, (stem, size) in enumerate(zip(stems, sizes, strict=True)):
            rows = [] if i == 4 else [_rectangle(rng, size, names) for _ in range(1 + i % 2)]
            _write(folder, stem, size, rows, rng, difficult=i == 3)
        (folder / "ImageSets/Main" / f"{split}.txt").write_text("\n".join(stems) + "\n")
    return folder


def specs(folder):
    """The words that name it on a command line."""
    return [f"data.train=voc:{folder}:train", f"data.val=voc:{folder}:val"]


def _rectangle(rng, size, names):
    label = int(rng.integers(len(names)))
    w, h = rng.integers(24, 44, 2).tolist()
    x, y = int(rng.integers(1, size[0] - w)), int(rng.integers(1, size[1] - h))
    return names[label], label, x, y, x + w - 1, y + h - 1  # pixels, the last included


def _write(folder, stem, size, rows, rng, *, difficult):
    image = rng.integers(20, 80, (size[1], size[0], 3), dtype=np.uint8)
    text = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    for i, (name, label, x1, y1, x2, y2) in enumerate(rows):
        image[y1 : y2 + 1, x1 : x2 + 1, label % 3] = 240
        flag = int(difficult and i == len(rows) - 1)
        corners = f"<xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2 + 1}</xmax><ymax>{y2 + 1}</ymax>"
        text += f"<object><name>{name}</name><difficult>{flag}</difficult><bndbox>{corners}</bndbox></object>"
    assert cv2.imwrite(str(folder / "JPEGImages" / f"{stem}.png"), image)
    annotation = f"<annotation><filename>{stem}.png</filename>{text}</annotation>"
    (folder / "Annotations" / f"{stem}.xml").write_text(annotation)
