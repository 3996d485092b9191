"""Weights from elsewhere, and a module that takes them with every key that does not fit named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resdet.errors import InputError
from resdet.tensor_file import read_tensors

SHOWN = 3  # keys in an error, which stays one line
KEPT_BELOW = ("model", "state_dict", "model_state_dict")  # where training scripts put a state dict
WRAPPERS = ("module.", "_orig_mod.")  # DistributedDataParallel's, torch.compile's


@dataclass(frozen=True)
class LoadReport:
    """How a state dict fits a module."""

    source: str
    loaded: tuple[str, ...]
    left_out: tuple[str, ...]  # keys of the module that were asked to stay as they are
    missing: tuple[str, ...]  # the module has them, the state dict has not
    unexpected: tuple[str, ...]  # the other way round
    wrong_shape: tuple[str, ...]  # "fc.weight: wanted (200, 512), got (1000, 512)"

    @property
    def fits(self) -> bool:
        """Whether every key that was not left out found its tensor."""
        return not (self.missing or self.unexpected or self.wrong_shape)

    def __str__(self) -> str:
        if self.fits:
            left_out = f", left out {', '.join(self.left_out)}" if self.left_out else ""
            return f"{self.source}: {len(self.loaded)} tensors{left_out}"
        faults = [*self.wrong_shape]
        faults += [f"{key}: missing" for key in self.missing]
        faults += [f"{key}: unexpected" for key in self.unexpected]
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        return f"{self.source}: {len(faults)} keys do not fit: {'; '.join(faults[:SHOWN])}{more}"


def load_into(module: nn.Module, state: Mapping[str, Tensor], *, source: str, skip: Sequence[str] = ()) -> LoadReport:
    """Copy a state dict into a module, all of it or nothing.

    Args:
        module: a network; its dtype and device stay.
        state: names as in ``module.state_dict()``.
        source: where the tensors are from, for the messages.
        skip: beginnings of keys that the module keeps as they are and that may be anything in ``state``, such as
            ``("fc.",)`` for a new list of classes.

    Raises:
        InputError: a key is missing, unexpected, of another shape or of another kind of numbers, such as packed ones;
            or a number is not finite, or would not be in the module, or a variance is below 0, whose answers nobody
            could use; the module is as it was.
    """
    _check_kinds(state, source)
    report = compare(module, state, source=source, skip=skip)
    if not report.fits:
        raise InputError(str(report))
    ours = module.state_dict()
    for key in report.loaded:
        kind, wanted = state[key].dtype, ours[key].dtype
        if state[key].is_meta or (wanted.is_floating_point and not kind.is_floating_point):
            raise InputError(f"{source}: {key}: wanted {wanted}, got {'no numbers' if state[key].is_meta else kind}")
        if bad := int((~state[key].to(wanted).isfinite()).sum()):
            raise InputError(f"{source}: {key}: {bad} of {state[key].numel()} numbers are NaN or infinite")
        if key.endswith("running_var") and bool((state[key] < 0).any()):
            raise InputError(f"{source}: {key}: a variance below 0, {float(state[key].min()):g}")
    # strict would ask for what is left out
    module.load_state_dict({key: state[key] for key in report.loaded}, strict=False)
    return report


def compare(module: nn.Module, state: Mapping[str, Tensor], *, source: str, skip: Sequence[str] = ()) -> LoadReport:
    """What :func:`load_into` would do, without doing it."""
    wanted = module.state_dict()
    left_out = tuple(key for key in wanted if key.startswith(tuple(skip)))
    ours = {key: value for key, value in wanted.items() if key not in left_out}
    theirs = {key: value for key, value in state.items() if not key.startswith(tuple(skip))}
    shapes = {key: (tuple(ours[key].shape), tuple(theirs[key].shape)) for key in ours if key in theirs}
    return LoadReport(
        source,
        loaded=tuple(key for key, (want, got) in shapes.items() if want == got),
        left_out=left_out,
        # files from before torch 0.4.1 lack batch norm's counter, which nothing here reads
        missing=tuple(key for key in ours if key not in theirs and not key.endswith(".num_batches_tracked")),
        unexpected=tuple(key for key in theirs if key not in ours),
        wrong_shape=tuple(f"{key}: wanted {want}, got {got}" for key, (want, got) in shapes.items() if want != got),
    )


def read_state(file: Path) -> dict[str, Tensor]:
    """The state dict of a backbone from a file (``torch.save``'s or ``.safetensors``).

    As :func:`read_whole_state`, and its keys may begin with ``backbone.`` (a checkpoint of ours: its other keys are
    heads, and are dropped).

    Raises:
        InputError: unreadable, not a mapping of names to tensors, or one with detectron2's names or a detector's.
    """
    state = backbone_of(read_whole_state(file))
    if any(key.startswith("stem.") or key.endswith("_bn_s") for key in state):
        raise InputError(f"{file}: has detectron2's names: wanted detectron2:NAME={file}, NAME being R-50, R-101...")
    if any(key.startswith("body.") for key in state):
        raise InputError(
            f"{file}: has the names of torchvision's detectors: wanted torchvision:NAME={file} for model.weights, "
            "NAME being FasterRCNN_ResNet50_FPN_Weights.COCO_V1..."
        )
    return state


def backbone_of(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What stands below ``backbone.`` in the state dict of a whole model; all of it where nothing does."""
    return _below(state, "backbone.")


def read_whole_state(file: Path) -> dict[str, Tensor]:
    """The state dict in a file.

    It may lie below one of :data:`KEPT_BELOW`, as training scripts save it, and its keys may begin with
    :data:`WRAPPERS` (saved from a distributed run, or compiled).

    Raises:
        InputError: unreadable, or not a mapping of names to tensors.
    """
    content = read_tensors(file)
    for key in KEPT_BELOW:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    state = checked_state(content, str(file))
    while prefix := next((wrapper for wrapper in WRAPPERS if any(key.startswith(wrapper) for key in state)), ""):
        state = _below(state, prefix)
    return state


def _below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """What stands below a prefix, if anything does."""
    if not any(key.startswith(prefix) for key in state):
        return state
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def checked_state(content: Any, source: str) -> dict[str, Tensor]:
    """``content``, a mapping of names to tensors.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(content, dict) or not content:
        raise InputError(f"{source}: wanted a state dict (names and tensors), got {type(content).__name__}")
    for key, value in content.items():
        if not isinstance(key, str):
            raise InputError(f"{source}: wanted a state dict (names and tensors), got {key!r} for a name")
        if not isinstance(value, Tensor):
            raise InputError(f"{source}: {key}: wanted a tensor, got {type(value).__name__}")
    _check_kinds(content, source)
    return dict(content)


def _check_kinds(state: Mapping[str, Tensor], source: str) -> None:
    """Refuse what is no array of plain numbers; of a complex one torch would take a half."""
    for key, value in state.items():
        if value.is_nested or value.layout != torch.strided:
            kind = "nested" if value.is_nested else str(value.layout)
        elif value.is_quantized or value.is_complex():
            kind = str(value.dtype)
        else:
            continue
        raise InputError(f"{source}: {key}: wanted a dense tensor of real numbers, got {kind}")
