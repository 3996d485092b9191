"""Which network a ``--set`` word is for, where localizers, R-CNNs and classifiers answer together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resdet.errors import UsageError

RCNN, CLASSIFIER = "rcnn.", "classifier."  # what settings for these begin with


@dataclass(frozen=True)
class RoleSettings:
    """``section.key=value`` words for each kind of network, their prefixes taken off."""

    localizers: tuple[str, ...]  # without a prefix
    rcnns: tuple[str, ...]
    classifiers: tuple[str, ...]


def by_role(settings: Sequence[str]) -> RoleSettings:
    """``rcnn.test.proposals=50`` is for the R-CNNs, ``classifier.data.size=160`` for the classifiers of their own."""
    mine = tuple(word for word in settings if not word.startswith((RCNN, CLASSIFIER)))
    return RoleSettings(mine, _below(RCNN, settings), _below(CLASSIFIER, settings))


def without_rcnns(settings: Sequence[str]) -> list[str]:
    """The words without those for R-CNNs, for an answer without R-CNNs."""
    return [word for word in settings if not word.startswith(RCNN)]


def check_roles(settings: RoleSettings, rcnns: Sequence[object], classifiers: Sequence[object]) -> None:
    """Make sure that there are networks for all settings.

    Raises:
        UsageError: settings for R-CNNs or classifiers, of which none is named.
    """
    if settings.rcnns and not rcnns:
        raise UsageError("--set rcnn....: no R-CNN is named (--rcnn)")
    if settings.classifiers and not classifiers:
        raise UsageError("--set classifier....: no classifier of its own is named (--classifier)")


def _below(prefix: str, settings: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.removeprefix(prefix) for word in settings if word.startswith(prefix))
