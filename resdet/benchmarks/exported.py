"""A detector in torch beside its own ONNX file in onnxruntime, where that is installed."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resdet.backbones.folding import fold_batch_norm
from resdet.benchmarks.agreement import same
from resdet.benchmarks.det import drawn_detector, settings_of
from resdet.benchmarks.photographs import noise
from resdet.benchmarks.timing import Row, compare
from resdet.build import build_det_protocol, place
from resdet.inference.onnx import NEEDED, as_function, write_onnx
from resdet.structures import Detections


def rows(
    device: torch.device,
    *,
    depth: int = 50,
    width: int = 800,
    height: int = 608,
    regions: int = 300,
    runs: int = 3,
) -> Iterator[Row]:
    """Detecting in one image in fp32; on a CPU alone, and where the packages are there."""
    if device.type != "cpu" or not all(map(find_spec, (*NEEDED, "onnxruntime"))):
        return
    import onnxruntime

    torch.manual_seed(0)
    image = noise(width, height)
    config = settings_of(depth, regions, min(width, height), max(width, height))
    ours = drawn_detector(config, image)
    fold_batch_norm(ours)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "detector.onnx"
        write_onnx(file, as_function(copy.deepcopy(ours), build_det_protocol(config)), None, {})
        session: Any = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    place(ours, device, channels_last=True)
    test, pixels = config.test, image.numpy()

    @torch.inference_mode()
    def mine() -> Sequence[Tensor]:
        (found,) = ours.detect(image, [(width, height)], test.score_threshold, test.nms_iou, test.max_detections)
        return found.boxes, found.scores, found.labels

    def theirs() -> Sequence[Tensor]:
        boxes, scores, labels, counts = (torch.from_numpy(column) for column in session.run(None, {"images": pixels}))
        return boxes[0, : counts[0]], scores[0, : counts[0]], labels[0, : counts[0]]

    agree = same(Detections(*mine()), Detections(*theirs()))
    name = f"detecting in fp32 (R{depth}-C4, {height}x{width}, {regions} regions)"
    peer = f"the exported file in onnxruntime {onnxruntime.__version__}"
    yield compare("det", name, mine, peer, theirs, device=device, runs=runs, agree=agree)
