"""The numbers that files of detections have for images and classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resdet.data.lists import standard_numbers
from resdet.data.records import NO_NUMBER, Classes, Records
from resdet.predictions.match import alphabetical, image_names


def image_numbers(records: Records) -> NDArray[np.int64]:
    """``(I,)``: each image's number: COCO's id, ILSVRC's index where every image has one of its own.

    Elsewhere its place, from 1, in alphabetical order of the names.
    """
    numbers = records.numbers.numpy()
    if (numbers != NO_NUMBER).all() and len(np.unique(numbers)) == len(numbers):
        return numbers
    places = np.empty(len(records), dtype=np.int64)
    places[alphabetical(image_names(records).ids)] = np.arange(1, len(records) + 1)
    return places


def class_numbers(classes: Classes) -> NDArray[np.int64]:
    """``(K,)``: each class's number: COCO's category id, the DET devkit's id; elsewhere its place from 1.

    Weights hold no numbers; those of DET and of COCO are known by their classes.
    """
    numbers = classes.numbers or standard_numbers(classes.ids) or range(1, len(classes) + 1)
    return np.array(numbers, dtype=np.int64)


def find(values: ArrayLike, known: NDArray) -> NDArray[np.int64]:
    """The index in ``known``, which holds nothing twice, of each of ``values``; -1 where it is not there."""
    wanted = np.asarray(values)
    if not len(known):
        return np.full(wanted.shape, -1)
    order = np.argsort(known)
    places = order[np.searchsorted(known[order], wanted).clip(max=len(known) - 1)]
    return np.where(known[places] == wanted, places, -1)
