"""What can go wrong within a training step, in words that say which images it was and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from resdet.config import TrainConfig
from resdet.engine.distributed import losing_others
from resdet.errors import InputError
from resdet.structures import ImageBatch
from resdet.tensor_file import first_sentence
from resdet.whole_file import replacing

SHOWN = 8  # images that a message names


class NotFinite(FloatingPointError):
    """A loss is NaN or infinite."""

    def __init__(self, step: int, values: dict[str, float], batch: ImageBatch) -> None:
        super().__init__(f"step {step}: the loss is not finite ({values}); images {list(batch.indices)}")
        self.step, self.values, self.batch = step, values, batch


@contextmanager
def explaining(step: int, batch: ImageBatch, how: TrainConfig, size_settings: str) -> Iterator[None]:
    """Around the computation of a step.

    Args:
        size_settings: the config's names for how large images are.

    Raises:
        MemoryError: out of memory, with the sizes of the images and the settings to lower.
        ConnectionError: another process of the run is gone.
        InputError: batch norm got a single value of a channel.
    """
    try:
        with losing_others():
            yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        learns = "; batch norm learns from each alone" if how.batch_norm == "train" else ""
        advice = f"raise train.accumulate (now {how.accumulate}: parts that a step is computed in{learns})"
        if how.accumulate == how.batch_size:  # an image at a time already
            advice = f"lower {size_settings}"
        elif how.batch_size > 1:
            advice += f", or lower train.batch_size (now {how.batch_size}) or {size_settings}"
        raise MemoryError(f"step {step}: out of memory with {_sizes(batch)}: {advice}") from error
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            f"step {step}: {_sizes(batch)} leave one value a channel, which batch norm cannot learn from: "
            f"set train.batch_norm=frozen, or raise train.batch_size or {size_settings}"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the machine had no memory left: torch has an error of its own for the first alone."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def told(error: NotFinite, model: nn.Module, out: Path, rank: int, name_of: Callable[[int], str]) -> FloatingPointError:
    """The error with the images' names, their batch saved in the run's folder, and a guess at whose fault it is.

    Args:
        name_of: an image's path by its index.
    """
    batch, file = error.batch, out / ("not-finite.pt" if not rank else f"not-finite-{rank}.pt")
    names = [name_of(index) for index in batch.indices]
    losses = ", ".join(f"{name} {value:g}" for name, value in error.values.items())
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    line = f"step {error.step}: the loss is not finite ({losses}); images {shown}"
    if any(not bool(value.isfinite().all()) for value in model.state_dict().values() if value.is_floating_point()):
        line += (
            "; the weights are not finite already: an earlier step did it, a lower train.lr or train.clip_norm helps"
        )
    try:
        _save_batch(file, batch, error.step, names)
    except (OSError, RuntimeError) as fault:  # torch's own, where the disk is full
        return FloatingPointError(f"{line}; the batch could not be saved: {first_sentence(fault)}")
    return FloatingPointError(f"{line}; the batch is in {file}")


def _save_batch(file: Path, batch: ImageBatch, step: int, names: Sequence[str]) -> None:
    """Write a batch as tensors and plain types: ``torch.load(file, weights_only=True)`` reads it.

    ``images`` ``(B, 3, H, W)`` uint8, ``sizes``, ``indices``, ``names``, ``step``, ``proposals``, and of each image
    ``label``, ``boxes``, ``labels`` and ``ignored`` in ``targets``.
    """
    content: dict[str, Any] = {
        "step": step,
        "names": list(names),
        "indices": list(batch.indices),
        "sizes": [list(size) for size in batch.full_sizes],
        "images": batch.images.cpu(),
        "targets": [vars(target) for target in batch.targets],
        "proposals": [boxes.cpu() for boxes in batch.proposals],
    }
    with replacing(file) as part, part.open("wb") as stream:  # itself, torch does not say what the disk said
        torch.save(content, stream)


def _sizes(batch: ImageBatch) -> str:
    """``8 images of 600x450, 600x1000 (padded to 1024x1024)``."""
    sizes = [f"{width}x{height}" for width, height in batch.full_sizes]
    each = list(dict.fromkeys(sizes))
    height, width = batch.images.shape[-2:]
    padded = f" (padded to {width}x{height})" if each != [f"{width}x{height}"] else ""
    plural = "image" if len(batch) == 1 else "images"
    return f"{len(batch)} {plural} of {', '.join(each[:SHOWN])}{padded}"
