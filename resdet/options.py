"""The command lines of ``tools/``: their parser, the options that several have, and the types of values.

Without torch, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def parser(description: str | None, examples: str) -> argparse.ArgumentParser:
    """A parser whose ``--help`` keeps the lines of both texts, with ``--debug``, which :func:`resdet.cli.run` reads."""
    made = argparse.ArgumentParser(
        description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--debug", action="store_true", help="show tracebacks")
    return made


def add_data(parser: argparse.ArgumentParser) -> None:
    """``--data FORMAT:ROOT:SPLIT``, of an evaluation."""
    parser.add_argument("--data", required=True, metavar="FORMAT:ROOT:SPLIT", help="the data set that is evaluated on")


def add_options(parser: argparse.ArgumentParser) -> None:
    """``[--set section.key=value ...] [--device D] [--batch-size N] [--workers N]``: how trained weights are run."""
    add_settings(parser)
    add_device(parser)
    parser.add_argument(
        "--batch-size", type=whole_number(1), metavar="N", help="images at once (default: the config's)"
    )
    parser.add_argument(
        "--workers", type=whole_number(0, 1024), metavar="N", help="loader processes (default: the config's; 0: none)"
    )


@dataclass(frozen=True)
class Running:
    """How trained weights are to be run, as :func:`add_options` asks; what is left out, their own settings say."""

    device: str = ""  # empty: :func:`resdet.engine.distributed.find_device` chooses
    batch_size: int | None = None  # images at once
    workers: int | None = None  # loader processes


def running(args: argparse.Namespace) -> Running:
    """What was answered to :func:`add_options`, but for ``--set``."""
    return Running(args.device, args.batch_size, args.workers)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """``[--set section.key=value ...]``."""
    parser.add_argument(
        "--set",
        dest="settings",
        nargs="+",
        action="extend",
        default=[],
        metavar="section.key=value",
        help="settings in place of those that the weights were trained with",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """``[--device D]``; empty: :func:`resdet.engine.distributed.find_device` chooses."""
    parser.add_argument("--device", default="", help="cpu, cuda, cuda:1 (default: CUDA when there is one)")


def folder(text: str) -> Path:
    """A type for argparse: a folder for results.  An empty word, as of a shell's unset variable, is none."""
    if not text:
        raise argparse.ArgumentTypeError("wanted a folder, got ''")
    return Path(text)


def finite_number(text: str) -> float:
    """A type for argparse: any number but NaN, which no score is above, and infinity."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"wanted a number, got {text!r}")
    return value


def share(text: str) -> float:
    """A type for argparse: a number from 0 to 1, as scores are."""
    value = finite_number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"wanted a number from 0 to 1, got {text!r}")
    return value


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """A type for argparse: a whole number of at least ``least``, and at most ``most``."""
    wanted = f"a whole number from {least}" + ("" if most is None else f" to {most}")

    def read(text: str) -> int:
        digits = text.isascii() and text.isdecimal() and len(text) < 20
        if not digits or int(text) < least or (most is not None and int(text) > most):
            raise argparse.ArgumentTypeError(f"wanted {wanted}, got {text!r}")
        return int(text)

    return read
