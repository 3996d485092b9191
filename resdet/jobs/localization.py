"""A localizer's answers for a whole annotated data set, and the errors they make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resdet.build import Loaded
from resdet.data.records import Classes, Records
from resdet.data.relabel import check_labelled, label_map, relabel
from resdet.data.viewed_images import ViewedImage, viewed_as_drawn_on
from resdet.errors import UsageError
from resdet.eval.loc import loc_metrics, loc_outcomes
from resdet.inference.loc import LocProtocol, best_candidates
from resdet.inference.locate import Located, Locators, Member, locate_together
from resdet.inference.rcnn import Rescorer
from resdet.jobs.all_processes import Rows, rows_of_all
from resdet.jobs.roles import by_role, check_roles
from resdet.jobs.second_classifier import second_guesses
from resdet.jobs.trained import RunOptions, as_localizer, open_localizer, open_rcnn
from resdet.options import Running
from resdet.predictions.loc import LocPredictions, to_inclusive


@dataclass(frozen=True)
class LocWeights:
    """The files that answer together: localizers whose candidates are united, and what stands around them."""

    localizers: Sequence[Path | str]
    rcnns: Sequence[Path | str] = ()  # judge the candidates, their scores averaged
    classifiers: Sequence[Path | str] = ()  # say the classes, averaged; none: the localizers do


@dataclass(frozen=True)
class OpenedLocators:
    """Localizers, and R-CNNs if any, on their device, and how they are run; their classes are the first's."""

    locators: Locators
    classes: Classes
    how: RunOptions


def open_locators(
    named: LocWeights,
    settings: Sequence[str],
    running: Running,
    first: tuple[Loaded, RunOptions] | None = None,
) -> OpenedLocators:
    """Open localizers and R-CNNs for one answer together.

    Args:
        settings: ``section.key=value`` words on top of what the localizers were trained with,
            ``rcnn.section.key=value`` on top of what the R-CNNs were, and ``classifier.section.key=value``.
        running: on what device, and how many images at once.
        first: the first localizer, where it is open already.

    Raises:
        InputError: one knows other classes than the first.
        UsageError: one is of another kind, or what :func:`resdet.jobs.trained.open_trained` refuses; candidates that
            cannot be averaged.
    """
    words, files = by_role(settings), list(named.localizers)
    check_roles(words, named.rcnns, named.classifiers)
    opened = [as_localizer(*first, files[0])] if first else []
    opened += [open_localizer(file, words.localizers, running) for file in files[len(opened) :]]
    classes = opened[0].classes

    def label(of: Classes, file: Path | str) -> Tensor | None:
        return None if of.ids == classes.ids else label_map(classes, of, files[0], file)

    members = [
        Member(one.model, one.protocol, label(one.classes, file), one.how.precision)
        for one, file in zip(opened, files, strict=True)
    ]
    if members[0].protocol.averaged:
        _check_same_candidates(members, files)
    judges = [open_rcnn(file, words.rcnns, running) for file in named.rcnns]
    rescorers = [
        Rescorer(one.model, one.rule, label(one.classes, file), one.how.precision)
        for one, file in zip(judges, named.rcnns, strict=True)
    ]
    return OpenedLocators(Locators(tuple(members), tuple(rescorers)), classes, opened[0].how)


def _check_same_candidates(members: Sequence[Member], files: Sequence[Path | str]) -> None:
    def views(how: LocProtocol) -> tuple[object, ...]:
        return (how.name, how.size, how.resize) if how.name == "1-crop" else (how.name, how.scales, how.mirror)

    first, *others = [(member.model.anchoring, views(member.protocol)) for member in members]
    for place, other in enumerate(others, 1):
        if other != first:
            those = "data.size, resize" if first[1][0] == "1-crop" else "scales, mirror"
            what = "anchors" if other[0] != first[0] else f"views (test.protocol, {those})"
            raise UsageError(
                f"test.ensemble=mean: {files[place]} has other {what} than {files[0]}; union has no such need"
            )


def predict(
    locators: Locators, records: Records, how: RunOptions, guesses: tuple[Tensor, Tensor] | None = None
) -> LocPredictions:
    """Localize every image of ``records``, the box for its true class included.

    Args:
        how: each process of ``how.me`` takes its share and has all answers; precisions are the locators' own.
        guesses: labels and probabilities from other classifiers, see :func:`resdet.inference.locate.locate_together`.
    """
    images = viewed_as_drawn_on(records, locators.views)

    def located(batches: Iterable[Sequence[ViewedImage]]) -> Rows:
        found = locate_together(locators, batches, how.device, guesses=guesses, true_labels=records.labels)
        return _rows(list(found))

    rows = rows_of_all(images, how.batch_size, how.workers, how.me, "localize", located)
    return LocPredictions(*(column.numpy() for column in rows))


def predict_with(named: LocWeights, settings: Sequence[str], running: Running, records: Records) -> LocPredictions:
    """What checkpoints find in a data set, with the data set's labels; arguments as :func:`open_locators`.

    Raises:
        InputError: the classes are others than the data set's; no error could be counted; an unreadable image.
        UsageError: as :func:`open_locators`.
    """
    check_labelled(records, with_boxes=True)
    opened = open_locators(named, settings, running)
    classes, how, first = opened.classes, opened.how, named.localizers[0]
    as_trained = relabel(records, classes, first)
    images = viewed_as_drawn_on(records, opened.locators.views)
    words, guesses = by_role(settings).classifiers, None
    if named.classifiers:
        guesses = second_guesses(named.classifiers, words, running, classes, first, images, how.me)
    found = predict(opened.locators, as_trained, how, guesses)
    label = label_map(classes, records.classes, first, records.root).numpy()
    return replace(found, labels=label[found.labels])


def oracle_misses(
    weights: Sequence[Path], settings: Sequence[str], running: Running, records: Records
) -> NDArray[np.bool_]:
    """The images on which not even the best candidate box for the true class hits; arguments as :func:`open_locators`.

    Returns:
        ``(N,)``: their share is the true-class error that a perfect choice among all candidates would leave.

    Raises:
        UsageError: their candidates are averaged.
    """
    each = [_oracle_misses_of(one, settings, running, records, alone=len(weights) == 1) for one in weights]
    return np.logical_and.reduce(each)  # type: ignore[no-any-return]


def _oracle_misses_of(
    weights: Path, settings: Sequence[str], running: Running, records: Records, *, alone: bool
) -> NDArray[np.bool_]:
    opened = open_localizer(weights, by_role(settings).localizers, running)
    how = opened.how
    if opened.protocol.averaged and not alone:
        raise UsageError("--oracle: chooses among candidates of each localizer; test.ensemble=mean averages them")
    images = viewed_as_drawn_on(records, opened.protocol.views)
    truth = relabel(records, opened.classes, weights).target

    def best(batches: Iterable[Sequence[ViewedImage]]) -> Rows:
        return (best_candidates(opened.model, batches, truth, how.device, how.precision).cpu(),)

    (overlap,) = rows_of_all(images, how.batch_size, how.workers, how.me, "oracle", best)
    return overlap.numpy() < 0.5


def _rows(answers: Sequence[Located]) -> Rows:
    """The columns of :class:`LocPredictions`: boxes as in ILSVRC's files, rounded as a written file would be."""
    width = np.array([a.width for a in answers])
    height = np.array([a.height for a in answers])
    true_boxes = [a.true_class_box for a in answers if a.true_class_box is not None]  # all: true labels were given
    boxes = to_inclusive(torch.stack([a.boxes for a in answers]), width[:, None], height[:, None])
    known = to_inclusive(torch.stack(true_boxes), width, height)
    as_float = (torch.from_numpy(column.astype(np.float64)) for column in (boxes, known))
    return torch.stack([a.labels for a in answers]), *as_float


def metrics(predictions: LocPredictions, records: Records) -> dict[str, Any]:
    """Errors with every image counted: what training watches."""
    return loc_metrics(loc_outcomes(predictions, records), np.zeros(len(records), dtype=bool))
