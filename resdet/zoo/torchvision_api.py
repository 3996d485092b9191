"""torchvision's weights API: ``torchvision:NAME``, downloaded, or ``torchvision:NAME=FILE``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

from torch import Tensor

from resdet.backbones.weights import read_whole_state
from resdet.errors import InputError
from resdet.tensor_file import first_sentence

PREFIX = "torchvision:"


def find_entry(name: str, families: Sequence[str]) -> Any:
    """The member of torchvision's weights enums that ``torchvision:NAME[=FILE]`` names.

    Args:
        families: the enums that will do, such as ``ResNet50_Weights``.

    Raises:
        InputError: it is none of theirs; the message lists them.
    """
    from torchvision import models  # here: it takes a second, and most runs have no use for it

    entry = name.removeprefix(PREFIX).partition("=")[0]
    with contextlib.suppress(ValueError, KeyError):
        if entry.partition(".")[0] in families:
            return models.get_weight(entry)
    known = [str(member) for family in families for member in models.get_weight(f"{family}.DEFAULT").__class__]
    raise InputError(f"{PREFIX}{entry}: wanted one of {', '.join(known)}")


def entry_state(name: str, entry: Any) -> dict[str, Tensor]:
    """The state dict of FILE, or the published one: through torch's own cache.

    Raises:
        InputError: an unreadable file, or a download that failed.
    """
    wanted, _, file = name.removeprefix(PREFIX).partition("=")
    if file:
        return read_whole_state(Path(file))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # torch says where it downloads to; stdout is for results
            return entry.get_state_dict(
                map_location="cpu", progress=sys.stderr.isatty(), check_hash=True, weights_only=True
            )
    except (URLError, OSError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(
            f"{PREFIX}{wanted}: cannot be had from {entry.url}: {first_sentence(error)}; "
            f"a file that is here already is named {PREFIX}{wanted}=FILE"
        ) from None
