"""Memory of loader workers: what each has of its own stays what it was, and annotations are there once for all."""

import json
import multiprocessing
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from resdet.config import AugmentConfig
from resdet.data.loading import TrainingImages, training_loader
from resdet.data.plan import Plan
from resdet.data.records import Classes, Record, pack

IMAGENET = 1_281_167
CLASSES = Classes(tuple(f"n{i:08d}" for i in range(1000)), tuple(f"name {i}" for i in range(1000)))
MEGABYTE = 2**20

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # as many workers as the test says


def index(root, images):
    """Annotations like ImageNet's, a box for every second image; the paths lead to four small files."""
    for name in range(4):
        pixels = np.random.default_rng(name).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        assert cv2.imwrite(str(root / f"{name}.jpg"), pixels)

    def rows():
        for i in range(images):
            path = f"../{root.name}/./././././././././././{i % 4}.jpg"  # as long as n01440764/n01440764_10026.JPEG
            boxes = [(3.0, 4.0, 30.0 + i % 7, 35.0)] * (i % 2)
            yield Record(path, i % 1000, boxes, size=(50, 40))

    return pack(root, CLASSES, rows())


def memory(pid, *kinds):
    """Bytes of a process's memory, of ``Private_Dirty`` and the like together."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(1024 * int(re.search(rf"^{kind}:\s+(\d+) kB", text, re.MULTILINE)[1]) for kind in kinds)


def own_memory(records, *, epochs, steps, workers):
    """``(epochs, workers)`` bytes that each worker has for itself at the end of each pass of so many steps."""
    images = TrainingImages(records, replace(AugmentConfig(), pca_lighting=0.1))
    plan = Plan(len(records), 64, epochs * steps, 0, ((0.0, 32),))
    found = []
    for step, _ in enumerate(training_loader(images, plan, workers), 1):
        if step % steps == 0:
            pids = [child.pid for child in multiprocessing.active_children()]
            assert len(pids) == workers or step == epochs * steps  # the last batch is sent when they go
            found.append([memory(pid, "Private_Clean", "Private_Dirty") for pid in pids])
    return [row for row in found if len(row) == workers]


def test_a_workers_own_memory_stays_what_it_was_for_five_passes(tmp_path):
    # in a process of its own: workers make pages of what other tests left in this one's memory their own as well
    done = subprocess.run([sys.executable, __file__, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)[:5]
    assert len(found) == 5
    for worker in zip(*found, strict=True):
        assert worker[-1] - worker[0] < 4 * MEGABYTE


@pytest.mark.slow
def test_annotations_of_imagenet_are_shared_and_workers_stay_flat_for_five_passes(tmp_path):
    before = memory("self", "Rss")
    records = index(tmp_path, IMAGENET)
    tensors = [value for value in vars(records).values() if hasattr(value, "nbytes")]
    kept, grown = sum(t.nbytes for t in tensors), memory("self", "Rss") - before
    assert all(t.is_shared() for t in tensors)
    assert kept <= 600 * MEGABYTE
    assert grown <= 600 * MEGABYTE
    found = own_memory(records, epochs=6, steps=200, workers=2)[:5]
    table = [[f"{size / MEGABYTE:.1f}" for size in row] for row in found]
    print(
        f"{kept / MEGABYTE:.0f} MB of annotations, the process grew by {grown / MEGABYTE:.0f} MB; workers' own: {table}"
    )
    for worker in zip(*found, strict=True):
        assert worker[-1] < 300 * MEGABYTE, "annotations are copied"
        assert worker[-1] - worker[0] < 8 * MEGABYTE


if __name__ == "__main__":
    print(json.dumps(own_memory(index(Path(sys.argv[1]), 20_000), epochs=6, steps=6, workers=2)))
