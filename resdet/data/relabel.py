"""The labels of one list of classes in the order of another: what a data set calls 3, weights may call 7."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from resdet.data.records import Classes, Records
from resdet.errors import InputError


def label_map(
    given: Classes, wanted: Classes, given_name: object, wanted_name: object, *, among_others: bool = False
) -> Tensor:
    """The label in ``wanted`` of each label of ``given``; the two must hold the same ids, in any order.

    Args:
        given_name, wanted_name: whose classes they are, for the message.
        among_others: ``wanted`` may hold classes that ``given`` does not.

    Returns:
        ``(K,)`` int64.

    Raises:
        InputError: a class of one is not in the other.  To go by position then would score every image of a
            shifted list as wrong, without a word.
    """
    _check_holds(wanted, given, wanted_name, given_name)
    if not among_others:
        _check_holds(given, wanted, given_name, wanted_name)
    labels = {class_id: label for label, class_id in enumerate(wanted.ids)}
    return torch.tensor([labels[class_id] for class_id in given.ids], dtype=torch.int64)


def relabel(records: Records, classes: Classes, weights: object) -> Records:
    """The same images and boxes, labelled as the classes of trained weights are; -1 stays -1.

    Args:
        weights: the file that ``classes`` are of, for the message.

    Raises:
        InputError: the classes are not the data set's, the first one that is missing named.
    """
    new_label = label_map(records.classes, classes, records.root, weights)
    new_label = torch.cat((new_label, new_label.new_tensor([-1])))  # row -1
    labels, box_labels = new_label[records.labels], new_label[records.box_labels]
    return replace(records, classes=classes, labels=labels.share_memory_(), box_labels=box_labels.share_memory_())


def check_labelled(records: Records, *, with_boxes: bool = False) -> None:
    """Make sure, before hours of work, that errors can be counted.

    Args:
        with_boxes: there must be a true box as well.

    Raises:
        InputError: there are no images, or one whose class is not known, or not one with a box.
    """
    if not len(records):
        raise InputError(f"{records.root}: no images to evaluate on")
    unknown = (records.labels < 0).nonzero()[:, 0]
    if len(unknown):
        raise InputError(
            f"{records.file(int(unknown[0]))}: its class is not known (so of {len(unknown)} of {len(records)} images)"
        )
    if with_boxes and not len(records.boxes):
        raise InputError(f"{records.root}: not one of the {len(records)} images has a box to hold predictions against")


def _check_holds(holder: Classes, held: Classes, holder_name: object, held_name: object) -> None:
    known = set(holder.ids)
    missing = [class_id for class_id in held.ids if class_id not in known]
    if missing:
        raise InputError(
            f"{holder_name}: of the {len(held)} classes of {held_name} it lacks {len(missing)}, "
            f"the first is {missing[0]!r}; wanted the same classes"
        )
