"""The checkpoints that a run goes on from: the last two, so that a damaged one costs some steps and not the run.

:func:`check_same` says whether they are of the run that is to go on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any

from resdet.engine import checkpoint
from resdet.engine.checkpoint import Checkpoint
from resdet.errors import InputError, UsageError

LAST, BEFORE = "last.pt", "before-last.pt"
CHECKPOINTS = (LAST, BEFORE, "best.pt", "finished.pt")  # what runs write into their folders


def holds_run(folder: Path) -> bool:
    """Whether a run has saved anything there that can be gone on from."""
    return any((folder / name).exists() for name in (LAST, BEFORE))


def check_free(folder: Path, resume: bool) -> None:
    """Make sure that no run is overwritten.

    Raises:
        UsageError: the folder holds one, and it is not to be resumed.
    """
    if holds_run(folder) and not resume:
        raise UsageError(f"{folder} holds a run already: --resume continues it, --out names another folder")


def keep(folder: Path, saved: Checkpoint, *, last_is_whole: bool = True) -> None:
    """Write ``last.pt``; what it was is ``before-last.pt`` from then on.  At every moment one of them is whole.

    Args:
        last_is_whole: that of ``last.pt`` as it is; a damaged one does not take the place of the one before.

    Raises:
        OSError: the disk is full, for one; both files are as they were.
    """
    last, before = folder / LAST, folder / BEFORE
    part = checkpoint.write_beside(last, saved)
    if last_is_whole and last.exists():
        _give_name(last, before)
    checkpoint.rename(part, last)


def newest(folder: Path, tell: Callable[[str], None]) -> tuple[Path, Checkpoint] | None:
    """The last checkpoint of a run, or where it cannot be used, the one before it; None: the folder holds no run.

    Args:
        tell: called with one line about a checkpoint that is passed over.

    Raises:
        InputError: none that is there can be used.
    """
    faults: list[str] = []
    for file in (folder / LAST, folder / BEFORE):
        if not file.exists():
            continue
        try:
            saved = checkpoint.load(file)
            if not saved.resume:  # as of best.pt, copied
                raise InputError(f"{file}: has weights, but nothing of the run that could be gone on with")
        except InputError as error:
            faults.append(str(error))
            continue
        if faults:
            tell(f"{faults[0]}; going on from the one before it, {file.name} of step {saved.step}")
        return file, saved
    if faults:
        raise InputError("; and ".join(faults))
    return None


def _give_name(file: Path, other: Path) -> None:
    """Call the file ``other`` too, in place of what is called so, and where a disk cannot: only ``other``."""
    second = other.with_name(other.name + ".part")
    second.unlink(missing_ok=True)
    try:
        os.link(file, second)
    except OSError:  # FAT and some network disks: for a moment there is no `file`, which `newest` does without
        file.replace(other)
    else:
        second.replace(other)
        second.unlink(missing_ok=True)  # of two names of one file, the old one stays: a killed run may have given both


# Settings that may change when a run is resumed: they only pace it, or say where it ends.  `accumulate` too, as the
# number of processes: gradients stay the batch's, though a part draws other anchors and crops to learn from.
MAY_CHANGE = {
    "data.workers",
    "train.log_every",
    "train.eval_every",
    "train.save_every",
    "train.accumulate",
    "train.stop_epoch",
    "train.batch_norm_images",  # of what --finish does afterwards
}


def check_same(now: Checkpoint, saved: Checkpoint, file: Path) -> None:
    """Make sure that ``saved`` is of this very run: under other settings it would be another run of the same name.

    Raises:
        InputError: another task, other classes, or a setting that differs and is not one that may change.
    """
    if saved.task != now.task:
        raise InputError(f"{file} is of a run of the kind {saved.task!r}, this one is {now.task!r}: not the same run")
    if saved.class_ids != now.class_ids:
        pairs = zip_longest(saved.class_ids, now.class_ids, fillvalue="none")
        place, (old_id, new_id) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
        counts = f"{len(saved.class_ids)}; now {len(now.class_ids)}"
        raise InputError(f"{file} was trained on other classes ({counts}): class {place} was {old_id}, now {new_id}")
    old, new = _flat(saved.config), _flat(now.config)
    free = set(MAY_CHANGE)
    if new.get("train.schedule") == "plateau":  # evaluations lower the learning rate: they do more than pace a run
        free.remove("train.eval_every")
    if new.get("train.batch_norm") == "train":  # its statistics are those of a part
        free.remove("train.accumulate")
    for key, value in new.items():
        # a setting that the saved run does not know came later: its default is what was done before
        if key in old and old[key] != value and key not in free and not key.startswith("test."):
            raise InputError(f"{file} was trained with {key} = {old[key]!r}, now {value!r}: not the same run")


def check_same_images(now: int, saved: Checkpoint, file: Path) -> None:
    """Make sure that ``saved`` was trained on as many images: epochs, the rate and the order are by their number.

    Raises:
        InputError: on another number; the first checkpoints do not say on how many.
    """
    before = saved.resume.get("images", now)
    if before != now:
        raise InputError(f"{file} was trained on {before} images, now there are {now}: not the same run")


def _flat(tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{path}{key}.") if isinstance(value, dict) else {path + key: value}
    return flat
