"""Good files of predictions, settings and weights, and how each is read."""

import pickle
from pathlib import Path

import numpy as np
import torch
from good_files import JSONL, RESULTS, SOLUTION, WNIDS, YAML, array_file, records, safetensors_file, torch_file
from readers import Reader, check_checkpoint, check_det, check_loc, check_tree

from resdet.config import DetConfig, load_config
from resdet.data import pixel_mean
from resdet.eval.blacklist import blacklisted
from resdet.eval.det_blacklist import left_out
from resdet.predictions.read import read_det, read_loc
from resdet.report.runs import read_history
from resdet.tensor_file import read_tensors


def prediction_files() -> dict[str, Reader]:
    """Results in every form, and lists of images that do not count."""
    wnids = WNIDS[0]
    devkit = b"1 1 2 30 40 2 5 6 7 8\n0 0 0 0 0\n2 1.5 2 3 4\n"
    det_text = b"5 3 0.9 1 2 30 40\n6 7 0.5 0 0 9.5 9\n7 3 1e-3 1 1 1 1\n"
    voc_text = b"b 0.9 1 2 30 40\na 0.5 1 1 9.5 9\n"
    judged = records()
    return {
        "loc devkit text": Reader("p.txt", devkit, lambda f: check_loc(read_loc(f / "p.txt", judged))),
        "loc kaggle": Reader(
            "p.csv", SOLUTION.replace(b"\na,", b"\nc,1 1 2 3 4\na,"), lambda f: check_loc(read_loc(f / "p.csv", judged))
        ),
        "loc jsonl": Reader("p.jsonl", JSONL.encode(), lambda f: check_loc(read_loc(f / "p.jsonl", judged))),
        "det devkit text": Reader("p.txt", det_text, lambda f: check_det(read_det(f / "p.txt", judged))),
        "det coco results": Reader("p.json", RESULTS.encode(), lambda f: check_det(read_det(f / "p.json", judged))),
        "det jsonl": Reader("p.jsonl", JSONL.encode(), lambda f: check_det(read_det(f / "p.jsonl", judged))),
        "det voc results": Reader(
            f"comp4_det_test_{wnids}.txt", voc_text, lambda f: check_det(read_det(f, judged))
        ),
        "loc blacklist": Reader("b.txt", b"1\n3\n", lambda f: blacklisted(judged, str(f / "b.txt"))),
        "det blacklist": Reader(
            "b.txt", f"5 {wnids}\n7 {WNIDS[1]}\n".encode(), lambda f: left_out(judged, str(f / "b.txt"))
        ),
    }  # fmt: skip


def settings_files() -> dict[str, Reader]:
    """Configs and what runs leave behind."""
    return {
        "yaml config": Reader("c.yaml", YAML, lambda f: load_config(DetConfig, f / "c.yaml")),
        "metrics": Reader(
            "metrics.jsonl", b'{"step": 1, "loss": 2.5}\n{"step": 2, "epoch": 1, "val/top1_error": 50.0}\n',
            lambda f: read_history(f, "top1_error"), {"config.yaml": b"model: {backbone: {shortcut: B}}\n"},
        ),
        "run's config": Reader(
            "config.yaml", b"model: {backbone: {shortcut: B}}\n", lambda f: read_history(f, "top1_error"),
            {"metrics.jsonl": b'{"step": 2, "epoch": 1, "val/top1_error": 50.0}\n'},
        ),
    }  # fmt: skip


def weight_files(folder_for_making: Path) -> dict[str, Reader]:
    """Checkpoints of every form, and arrays."""
    return {
        "mean image": Reader("m.npy", array_file(), _mean),
        "checkpoint": Reader("w.pt", torch_file(), lambda f: check_checkpoint(f / "w.pt")),
        "old checkpoint": Reader("w.pth", torch_file(old=True), lambda f: check_tree(read_tensors(f / "w.pth"))),
        "safetensors": Reader(
            "w.safetensors", safetensors_file(folder_for_making), lambda f: check_checkpoint(f / "w.safetensors")
        ),
        "detectron2 pickle": Reader(
            "w.pkl", pickle.dumps({"model": {"w": np.ones((2, 3), np.float32)}, "__author__": "x"}, 2),
            lambda f: check_tree(read_tensors(f / "w.pkl")),
        ),
    }  # fmt: skip


def _mean(folder: Path) -> None:
    mean = pixel_mean.read(folder / "m.npy", 4)
    assert mean.shape == (3, 4, 4)
    assert torch.isfinite(mean).all()
