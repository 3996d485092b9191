"""Whether this machine has what resdet needs: packages, devices, and operators that answer as they should."""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from typing import Any, NamedTuple

NEEDED = {  # from a package's name for pip to its module's
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "Pillow": "PIL",
    "opencv-python-headless": "cv2",
    "PyYAML": "yaml",
    "defusedxml": "defusedxml",
    "safetensors": "safetensors",
    "tqdm": "tqdm",
    "albumentations": "albumentations",
    "pycocotools": "pycocotools.cocoeval",
    "tensorboard": "tensorboard",
}
OPTIONAL = {
    "faster-coco-eval": ("faster_coco_eval", "eval_det.py --coco-backend faster-coco-eval"),
    "onnx": ("onnx", "export.py to ONNX"),
    "onnxscript": ("onnxscript", "export.py to ONNX"),
    "triton": ("triton", "RoI operators and NMS on a GPU"),
}
AGREE = 1e-4  # how far an operator's float32 answer may be from its reference


class Check(NamedTuple):
    """One thing that was looked at."""

    what: str
    found: str  # a version, a name, or what is wrong
    ok: bool
    needed: bool = True  # false: it is optional, and missing it is no fault


def checks() -> Iterator[Check]:
    """Look at one thing after another; nothing that is missing or broken stops what comes after it."""
    yield Check("python", f"{platform.python_version()}, {platform.platform()}", True)
    yield from (_package(name, module) for name, module in NEEDED.items())
    for name, (module, use) in OPTIONAL.items():
        found = _package(name, module)
        yield found._replace(needed=False) if found.ok else Check(name, f"{found.found}; it is for {use}", False, False)
    if _version("opencv-python") and _version("opencv-python-headless"):
        both = "opencv-python and opencv-python-headless write the same folder: pip uninstall both, install the latter"
        yield Check("OpenCV", both, False)
    try:
        import torch
    except Exception:  # told above
        return
    yield from _devices(torch)


def _devices(torch: Any) -> Iterator[Check]:
    yield Check("cpu", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads", True)
    yield from _operators("cpu")
    if not torch.cuda.is_available():
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built for the CPU"
        yield Check("cuda", f"no GPU that torch can use; {built}", False, needed=False)
        return
    for number in range(torch.cuda.device_count()):
        how = torch.cuda.get_device_properties(number)
        memory = f"{how.total_memory / 2**30:.0f} GiB, compute capability {how.major}.{how.minor}"
        yield Check(f"cuda:{number}", f"{how.name}, {memory}, CUDA {torch.version.cuda}", True)
        yield from _operators(f"cuda:{number}")


def _operators(device: str) -> Iterator[Check]:
    """The operators of regions on a device, held to their references on the CPU."""
    import torch

    from resdet import ops
    from resdet.ops.nms import reference as nms
    from resdet.ops.roi_align import reference as roi_align
    from resdet.ops.roi_pool import reference as roi_pool

    draw = torch.Generator().manual_seed(0)
    features = torch.randn(2, 8, 12, 16, generator=draw)
    corners = torch.rand(20, 2, generator=draw) * 100
    boxes = torch.cat((corners, corners + torch.rand(20, 2, generator=draw) * 90 + 4), 1)
    rois = torch.cat((torch.arange(20)[:, None] % 2, boxes), 1)
    scores, groups = torch.rand(20, generator=draw), torch.arange(20) % 3
    there = [tensor.to(device) for tensor in (features, rois, boxes, scores, groups)]
    works = {
        "RoI align": (
            lambda: ops.roi_align(there[0], there[1], 7, 16, 2, True),
            lambda: roi_align.roi_align(features, rois, 7, 16, 2, True),
        ),
        "RoI pool": (
            lambda: ops.roi_pool(there[0], there[1], 7, 16),
            lambda: roi_pool.roi_pool(features, rois, 7, 16),
        ),
        "NMS": (
            lambda: ops.batched_nms(there[2], there[3], there[4], 0.5),
            lambda: nms.batched_nms(boxes, scores, groups, 0.5, None),
        ),
    }
    for name, (ours, reference) in works.items():
        try:
            answer, expected = ours().cpu(), reference()
            right = answer.shape == expected.shape and bool((answer - expected).abs().max() <= AGREE)
            said = "as its reference has it" if right else "another answer than its reference's"
        except Exception as error:  # whatever a compiler or a driver says
            right, said = False, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        yield Check(f"{device}: {name}", said, right)


def _package(name: str, module: str) -> Check:
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        return Check(name, f"not installed ({error.name}): pip install {name}", False)
    except Exception as error:  # a library that lacks another, or two that do not fit each other
        return Check(name, f"cannot be imported: {' '.join(str(error).split())[:300]}", False)
    return Check(name, _version(name) or str(getattr(found, "__version__", "of no known version")), True)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
