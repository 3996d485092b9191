"""A data set as its annotation files have it, faults included: what :class:`Records` cannot hold.

The formats' readers stop at the first fault.  Here each object is given to the same reader by itself: if it is refused,
the reader's message is noted, and the next object is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from resdet.audit.boxes import Frame
from resdet.audit.findings import Box
from resdet.data.records import Records


class Marked(NamedTuple):
    """One object, as it is written."""

    place: str
    name: str  # of its class
    sides: Box | None  # xmin ymin xmax ymax in the file's own frame; None: not four finite numbers
    wrong: str = ""  # what the format's reader says to it
    unknown: bool = False  # its class is not among the set's
    crowd: bool = False  # a region of many, not an object


class Sheet(NamedTuple):
    """One image, as its annotation describes it."""

    image: str  # path from the set's folder; empty: the annotation is of none
    place: str  # the annotation's file, with the line or row where it has several; no two have the same
    label: str = ""  # the image's class, where the format has such
    size: tuple[int, int] = (0, 0)  # 0: it does not say
    objects: tuple[Marked, ...] = ()
    wrong: str = ""  # what the format's reader says to the whole of it
    kind: str = "annotation"  # of findings: what `wrong` is


class Correction(NamedTuple):
    """What an annotation should have said."""

    boxes: tuple[Box | None, ...]  # one for each object, continuous pixels; None: it is left out
    size: tuple[int, int]  # of the image
    leave_out: bool = False  # the whole of it: its image cannot be used


Corrections = Mapping[str, Correction]  # by the place of the sheet; what is right already has none


@dataclass(frozen=True)
class SheetSet:
    """A data set to be checked."""

    root: Path  # images are named from here
    frame: Frame
    sheets: Callable[[], Iterator[Sheet]]  # one after another; images without annotation too
    count: int | None = None  # of the sheets, about; None: not known beforehand
    write: Callable[[Path, Corrections], None] | None = None  # the corrected annotations into a folder; None: no boxes
    needs_box: bool = False  # an image without any cannot be in it
    records: Records | None = None  # where these hold the images themselves
    scaled: bool = False  # an image of another size than its annotation's is scaled to that (resdet.data.drawn)
