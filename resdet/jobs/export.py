"""Trained weights for other programs: safetensors, ONNX, or torchvision's names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from resdet.backbones.folding import fold_batch_norm
from resdet.build import Loaded, build_det_protocol, open_model
from resdet.config import DetConfig, RCNNConfig, to_dict
from resdet.engine import checkpoint
from resdet.engine.checkpoint import Checkpoint
from resdet.errors import UsageError
from resdet.inference.onnx import as_function, write_onnx
from resdet.whole_file import replacing
from resdet.zoo.torchvision_resnet import torchvision_state

ENDINGS = {  # of each form's files
    "resdet": (".safetensors", ".pt"),
    "torchvision": (".safetensors", ".pth", ".pt"),
    "onnx": (".onnx",),
}
WITHOUT = {"refine": "false", "vote": "false", "scales": "[]"}  # what ONNX has none of, and how it is left out


def export(weights: str, settings: Sequence[str], out: Path, form: str = "") -> int:
    """Write trained weights to a file; the answer is how many numbers are in it.

    Args:
        weights: whatever :func:`resdet.build.open_model` takes.
        settings: ``section.key=value`` words on top of what they were trained with.  A file of ours keeps them all,
            for whoever opens it; another form takes what makes the network, and refuses what it has no place for.
        form: a key of ``ENDINGS``; empty: by the file's ending.

    Raises:
        UsageError: a form that goes by other endings; a network that torchvision has not; a setting that the form
            does not read.
        InputError: weights that cannot be read, or what :func:`resdet.inference.onnx.write_onnx` refuses.
        OSError: the file cannot be written, the disk is full for one; it is as it was.
    """
    form = form or ("onnx" if out.suffix == ".onnx" else "resdet")
    if out.suffix not in ENDINGS[form]:
        raise UsageError(f"--out {out}: the format {form} is written to {' or '.join(ENDINGS[form])}")
    loaded = open_model(weights, tuple(settings), None if form == "resdet" else form)
    out.parent.mkdir(parents=True, exist_ok=True)
    if form == "torchvision":
        state = under_torchvisions_names(loaded, weights)
        _write_state(out, state)
        return _numbers(state)
    state = loaded.model.state_dict()
    if form == "onnx":
        _write_onnx(out, loaded, weights)
    else:
        ids, names = loaded.classes.ids, loaded.classes.names
        checkpoint.save(out, Checkpoint(loaded.task, to_dict(loaded.config), ids, names, loaded.step, state))
    return _numbers(state)


def _write_onnx(file: Path, loaded: Loaded, weights: str) -> None:
    """Batch norm goes into the convolutions, as where weights are opened to be run."""
    if isinstance(loaded.config, RCNNConfig):
        raise UsageError(f"{weights}: an R-CNN, which judges boxes of other networks: ONNX is for other models")
    ids, names = loaded.classes.ids, loaded.classes.names
    described: dict[str, Any] = {"task": loaded.task, "class_ids": ids, "class_names": names}
    model: Any = loaded.model
    fold_batch_norm(model)
    if not isinstance(loaded.config, DetConfig):
        write_onnx(file, as_function(model), loaded.config.data.size, described)
        return
    test = loaded.config.test
    if lacking := {name: value for name in WITHOUT if (value := getattr(test, name))}:
        named = ", ".join(f"test.{name}={value}" for name, value in lacking.items())
        words = " ".join(f"test.{name}={WITHOUT[name]}" for name in lacking)
        raise UsageError(f"{weights}: ONNX is without {named}: --set {words}")
    described |= {"shorter": test.shorter, "longer": test.longer}
    write_onnx(file, as_function(model, build_det_protocol(loaded.config)), None, described)


def under_torchvisions_names(loaded: Loaded, weights: str) -> dict[str, Tensor]:
    """The backbone's state dict, for a net that torchvision has.

    Raises:
        UsageError: it has not; the setting that differs is named.
    """
    how, data = loaded.config.model.backbone, loaded.config.data
    wanted: dict[str, object] = {"family": "imagenet", "stem": "7x7", "width": 64, "dilate_conv5": False}
    if how.shortcut:  # empty: the family's own, B
        wanted["shortcut"] = "B"
    if how.depth >= 50:
        wanted["stride_in"] = "3x3"
    for name, value in wanted.items():
        if (got := getattr(how, name)) != value:
            raise UsageError(f"{weights}: torchvision's ResNet has {name}={value}, this one {got}")
    if getattr(data, "pixel_mean", ""):  # a classifier's setting
        raise UsageError(
            f"{weights}: has a mean for every pixel (data.pixel_mean), torchvision's ResNet one for each color"
        )
    return torchvision_state(loaded.model.backbone.state_dict(), data.mean, data.std)


def _write_state(file: Path, state: dict[str, Tensor]) -> None:
    # into a stream: of what the libraries write themselves, they do not say what the disk said
    with replacing(file) as part, part.open("wb") as stream:
        if file.suffix == ".safetensors":
            stream.write(save({name: value.contiguous() for name, value in state.items()}, {"format": "pt"}))
        else:
            torch.save(state, stream)


def _numbers(state: dict[str, Tensor]) -> int:
    return sum(value.numel() for value in state.values() if value.is_floating_point())
