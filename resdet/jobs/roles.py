"""Whose each setting of a command line is, where several kinds of networks answer together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resdet.errors import UsageError


@dataclass(frozen=True)
class RoleSettings:
    """``section.key=value`` words for each kind of network, their prefixes taken off."""

    localizers: tuple[str, ...]  # without a prefix
    rcnns: tuple[str, ...]  # rcnn.
    classifiers: tuple[str, ...]  # classifier.


def by_role(settings: Sequence[str]) -> RoleSettings:
    """``rcnn.test.proposals=50`` is for the R-CNNs, ``classifier.data.size=160`` for the classifiers of their own."""
    prefixes = ("rcnn.", "classifier.")
    of = {prefix: tuple(w.removeprefix(prefix) for w in settings if w.startswith(prefix)) for prefix in prefixes}
    return RoleSettings(tuple(w for w in settings if not w.startswith(prefixes)), of["rcnn."], of["classifier."])


def check_roles(settings: RoleSettings, rcnns: Sequence[object], classifiers: Sequence[object]) -> None:
    """That there are networks for all settings.

    Raises:
        UsageError: settings for R-CNNs or classifiers, of which none is named.
    """
    if settings.rcnns and not rcnns:
        raise UsageError("--set rcnn....: no R-CNN is named (--rcnn)")
    if settings.classifiers and not classifiers:
        raise UsageError("--set classifier....: no classifier of its own is named (--classifier)")
