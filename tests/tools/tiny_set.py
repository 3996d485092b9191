"""A data set in Tiny-ImageNet's form, small enough to train on within a test, and the tools to do so."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import cv2
import numpy as np

from resdet import cli

TOOLS = Path(__file__).parents[2] / "tools"

WNIDS = ("n01443537", "n01629819", "n01641577")
TRAIN_IMAGES, VAL_IMAGES = 4, 2  # a class


def draw(folder, wnids=WNIDS):
    """Coloured noise, a class to a colour, with a brighter box of which the annotation tells."""
    rng = np.random.default_rng(0)
    (folder / "val" / "images").mkdir(parents=True)
    (folder / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in wnids))
    (folder / "words.txt").write_text("".join(f"{wnid}\tname of {wnid}, other name\n" for wnid in wnids))
    annotations = []
    for label, wnid in enumerate(wnids):
        images = folder / "train" / wnid / "images"
        images.mkdir(parents=True)
        rows = []
        for i in range(TRAIN_IMAGES):
            box = _noise(images / f"{wnid}_{i}.JPEG", label, rng)
            rows.append("\t".join([f"{wnid}_{i}.JPEG", *map(str, box)]))
        (images.parent / f"{wnid}_boxes.txt").write_text("\n".join(rows) + "\n")
        for i in range(VAL_IMAGES):
            name = f"val_{label}_{i}.JPEG"
            box = _noise(folder / "val" / "images" / name, label, rng)
            annotations.append("\t".join([name, wnid, *map(str, box)]))
    (folder / "val" / "val_annotations.txt").write_text("\n".join(annotations) + "\n")
    return folder


def specs(folder):
    """The words that name it on a command line."""
    return [f"data.train=tiny-imagenet:{folder}:train", f"data.val=tiny-imagenet:{folder}:val"]


def main_of(tool):
    """``main`` of a script in tools/, to be run in this process: torch is imported already."""
    spec = spec_from_file_location(tool, TOOLS / f"{tool}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def run(tool, *words):
    """The exit code of a script in tools/, of these words whatever they are."""
    return cli.run(main_of(tool), [str(word) for word in words])


def _noise(file, label, rng):
    image = rng.integers(0, 100, (64, 64, 3), dtype=np.uint8)
    x1, y1 = rng.integers(0, 30, 2).tolist()
    x2, y2 = x1 + 30, y1 + 25
    image[y1 : y2 + 1, x1 : x2 + 1, label % 3] += 150
    assert cv2.imwrite(str(file), image)
    return x1, y1, x2, y2
