"""A localizer's best boxes of every training image, written to disk once (App. C: the 200 that R-CNN learns from)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from resdet import build
from resdet.config import RCNNConfig
from resdet.data.proposals import ProposalFolder, ProposalsOf
from resdet.data.records import Records
from resdet.data.relabel import relabel
from resdet.data.viewed_images import view_loader, viewed_as_drawn_on
from resdet.engine import distributed
from resdet.engine.distributed import Process
from resdet.errors import InputError, UsageError
from resdet.inference.loc import LocProtocol
from resdet.inference.rcnn import Proposing, propose
from resdet.precision import precision_on
from resdet.predictions.jsonl import not_finite
from resdet.progress import follow
from resdet.structures import Proposals


@dataclass(frozen=True)
class Proposer:
    """The localizer that a config names, and what it is to propose."""

    loaded: build.Loaded  # a localizer
    protocol: LocProtocol
    rule: Proposing
    weights: Path
    batch_size: int
    precision: str

    def folder(self, where: Path, records: Records) -> ProposalFolder:
        """The folder for the proposals of these images."""
        how = f"{self.protocol}, {self.rule}"
        names = hashlib.sha256(records.path_bytes.numpy().tobytes() + records.labels.numpy().tobytes()).hexdigest()
        weights = hashlib.sha256(self.weights.read_bytes()).hexdigest()
        return ProposalFolder(where, ProposalsOf(weights, how, names, len(records), self.rule.kept))


def open_proposer(config: RCNNConfig, me: Process) -> Proposer:
    """The localizer that ``proposals.weights`` names, on this process's device.

    Raises:
        UsageError: none is named, or something that proposes no boxes.
        InputError: what is wrong with the file.
    """
    how = config.proposals
    if not how.weights:
        raise UsageError("proposals.weights is not set: name the checkpoint of a localizer (tools/train_loc.py)")
    loaded = build.open_model(how.weights)
    if loaded.task != "loc":
        raise UsageError(f"proposals.weights={how.weights}: wanted a localizer, which tools/train_loc.py makes")
    settings: Any = loaded.config  # a LocConfig, as its task says
    build.place(loaded.model, me.device, settings.train.channels_last)
    precision = precision_on(me.device, settings.train.precision)
    protocol = build.build_protocol(replace(settings, test=replace(settings.test, protocol=how.protocol)))
    rule = Proposing(how.kept, how.nms_iou, how.min_side)
    return Proposer(loaded, protocol, rule, Path(how.weights), settings.test.batch_size, precision)


def write_proposals(proposer: Proposer, where: Path, records: Records, me: Process, workers: int) -> ProposalFolder:
    """Propose for the true class of every image; what is written already is not done again.

    Each process writes its share of the parts; all wait until every part is there.

    Raises:
        InputError: the folder holds other proposals; the localizer has other classes; an image that cannot be read.
        FloatingPointError: the localizer has diverged, or overflows; the first image where it did is named.
    """
    folder = proposer.folder(where, records)
    if me.is_main:
        folder.begin()
    distributed.wait(me)
    parts = [part for part in range(folder.parts)[me.rank :: me.processes] if not folder.has(part)]
    if parts:
        images = [i for part in parts for i in folder.images_of(part)]
        found = _proposals(proposer, records, images, me.device, workers)
        for part in parts:
            folder.write(part, list(islice(found, len(folder.images_of(part)))))
    distributed.wait(me)
    if missing := [part for part in range(folder.parts) if not folder.has(part)]:
        raise InputError(f"{where}: proposals of part {missing[0]} are missing: is the folder one that all share?")
    return folder


def _proposals(
    proposer: Proposer, records: Records, images: Sequence[int], device: torch.device, workers: int
) -> Iterator[Proposals]:
    """Of each of these images of ``records``, in order, for its true class."""
    labels, mine = relabel(records, proposer.loaded.classes, proposer.weights).labels, torch.tensor(images)
    viewed = viewed_as_drawn_on(records.select(mine), proposer.protocol.views)
    batches = view_loader(viewed, proposer.batch_size, workers)
    shown = follow(batches, len(batches), "propose")
    model: Any = proposer.loaded.model
    found = propose(model, shown, labels[mine], proposer.rule, device, proposer.precision)
    for image, proposals in zip(images, found, strict=True):
        if proposals.finite is not None and not proposals.finite:
            raise not_finite(records.path(image))
        yield proposals
