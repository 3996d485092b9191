"""Loading: one core beside torchvision's ``ImageFolder`` with transforms v2 on PIL, and loading beside training."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

import cv2
import torch
from torch import Tensor

from resdet.benchmarks import torchvision_loading as peer
from resdet.benchmarks.photographs import photographs
from resdet.benchmarks.timing import Row, compare, row_of
from resdet.build import build_classifier, place
from resdet.config import AugmentConfig, ClsConfig
from resdet.data.loading import TrainingImages, collate, training_loader
from resdet.data.plan import Draw, Plan
from resdet.data.records import Records
from resdet.engine.optim import sgd
from resdet.engine.train import train
from resdet.settings import override
from resdet.structures import ImageBatch

SIZE, BATCH = 224, 32
AREA = AugmentConfig(crop="area", pca_lighting=0.0, keep_object=False)  # RandomResizedCrop's window
SHORTER_SIDE = AugmentConfig(pca_lighting=0.0, keep_object=False)
# how far our pixels may be from PIL's, of 255, as the mean of the worst image: 0.2 is usual; up to 2.4 was seen where
# a JPEG is decoded smaller, which is less than what PIL's own ways to shrink differ by
LEVEL = 3.0


def rows(
    device: torch.device,
    images: Path | None = None,
    *,
    runs: int = 7,
    steps: int = 12,
    workers: int = 1,
    batch: int = 0,
) -> Iterator[Row]:
    """Milliseconds a batch of 32 on one core, then milliseconds an image of loading and training.

    Args:
        images: a folder of JPEGs; None: drawn ones of 500x375.
        steps: of training, and batches of loading.
        workers: loader processes where loading and training are compared.
        batch: images a step there; 0: 128 on CUDA, 16 on the CPU.
    """
    with tempfile.TemporaryDirectory() as work:
        records = photographs(images, Path(work))
        threads = torch.get_num_threads(), cv2.getNumThreads()
        torch.set_num_threads(1)  # a core's work, as a loader's worker does it
        cv2.setNumThreads(0)
        try:
            yield from _one_core(records, runs)
        finally:
            torch.set_num_threads(threads[0])
            cv2.setNumThreads(threads[1])
        yield from _beside_training(records, device, runs=min(runs, 3), steps=steps, workers=workers, batch=batch)


def _one_core(records: Records, runs: int) -> Iterator[Row]:
    """A batch decoded, cropped, resized, mirrored by chance and stacked, uint8."""
    width, height = (round(side) for side in records.sizes.double().mean(0).tolist())
    where = f"{len(records)} JPEGs of about {width}x{height}, to {BATCH} x {SIZE}x{SIZE} uint8, one core"
    for name, how, crop, boxes in (
        ("random area and aspect", AREA, peer.AREA, False),
        ("random area and aspect, with boxes", AREA, peer.AREA, True),
        ("shorter side of 256 to 480", SHORTER_SIDE, peer.SHORTER_SIDE, False),
        ("shorter side of 256 to 480, with boxes", SHORTER_SIDE, peer.SHORTER_SIDE, True),
    ):
        theirs = peer.TorchvisionImages(records, crop, SIZE, boxes=boxes)
        agree = peer.largest_difference(records, how, SIZE) < LEVEL
        yield compare(
            "data",
            f"{name} ({where})",
            _Ours(records if boxes else records.without_boxes(), how),
            f"ImageFolder, v2 on PIL{', boxes' if boxes else ''}",
            lambda theirs=theirs: theirs.batch(BATCH),  # type: ignore[misc]
            device=torch.device("cpu"),
            runs=runs,
            agree=agree,
        )


class _Ours:
    """Batch after batch of new draws."""

    def __init__(self, records: Records, how: AugmentConfig) -> None:
        self.images = TrainingImages(records, how)
        self.drawn = 0

    def __call__(self) -> Sequence[Tensor]:
        draws = range(self.drawn, self.drawn + BATCH)
        self.drawn += BATCH
        return [collate([self.images[Draw(i % len(self.images), i, SIZE)] for i in draws]).images]


def _beside_training(
    records: Records, device: torch.device, *, runs: int, steps: int, workers: int, batch: int
) -> Iterator[Row]:
    """Whether the network waits: loading alone, training alone and both, the paper's views, ms an image."""
    batch = batch or (128 if device.type == "cuda" else 16)
    depth = 50 if device.type == "cuda" else 18
    words = (f"model.backbone.depth={depth}", "train.precision=bf16", f"train.batch_size={batch}")
    config = override(ClsConfig, {}, words, "benchmark")
    enough = records.select(torch.arange(max(batch, len(records))) % len(records))
    images = TrainingImages(enough, SHORTER_SIDE)
    plan = Plan(len(enough), batch, steps, 0, ((0.0, SIZE),))
    step = _trainer(config, device)
    ready = next(iter(training_loader(images, plan, 0)))
    works: dict[str, Callable[[], float]] = {
        "loading": lambda: _seconds(training_loader(images, plan, workers)),
        "training": lambda: step([ready] * steps),
        "both": lambda: step(training_loader(images, plan, workers)),
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            taken[name].append(1000 * work() / batch)
    rate = {name: f"{1000 / median(found):.0f} images/s" for name, found in taken.items()}
    what = f"ms an image; ResNet-{depth}, bf16, batch {batch}, {workers} workers"
    peer = f"training alone: {rate['training']}"
    yield row_of("data", f"loading alone: {rate['loading']} ({what})", taken["loading"], peer, taken["training"])
    yield row_of("data", f"training with loading: {rate['both']} ({what})", taken["both"], peer, taken["training"])


def _seconds(batches: Iterable[ImageBatch]) -> float:
    """A batch's, once the first one is there: a worker's start is not counted."""
    times = [time.perf_counter() for _ in batches]
    return (times[-1] - times[0]) / (len(times) - 1)


def _trainer(config: ClsConfig, device: torch.device) -> Callable[[Iterable[ImageBatch]], float]:
    """What trains on batches and answers with the mean seconds of a step, the first one not counted."""
    model = place(build_classifier(config, 1000), device, channels_last=True)
    optimizer, scaler = sgd(model, config.train), torch.amp.GradScaler(device.type, enabled=False)

    def run(batches: Iterable[ImageBatch]) -> float:
        times: list[float] = []
        train(
            model,
            batches,
            optimizer,
            scaler,
            config.train,
            device=device,
            start=0,
            steps_per_epoch=1,
            rate=lambda epoch: 0.0,
            average=None,
            after_step=lambda step, values: times.append(time.perf_counter()),
        )
        return (times[-1] - times[0]) / (len(times) - 1)

    return run
