"""What can be wrong with a data set, and one case of it."""

from __future__ import annotations

from typing import NamedTuple

Box = tuple[float, float, float, float]

KINDS = {
    "refused": "the data set's own reader gives up, and so would training",
    "annotation": "what an annotation says cannot be read, or it says it twice",
    "no-image": "an annotation, or a listed name, whose image is not there",
    "no-annotation": "an image without annotation",
    "unreadable": "an image that is damaged, cut off, too large or no image",
    "mislabelled": "an image whose name ends as another format's do",
    "size": "the annotation gives the image another size than it has",
    "exif": "the image is turned by its EXIF, and the boxes seem to be, or may be, drawn on it as it was before",
    "unknown-class": "an object of a class that is not among the set's, or is spelt like another",
    "other-class": "a box of another class than its image's, which localization does not learn from",
    "no-number": "a box that is not four finite numbers",
    "upside-down": "a box whose far edge comes before its near one",
    "no-area": "a box without width or height",
    "outside": "a box that reaches out of its image",
    "small": "a box with a side of less than two pixels",
    "double": "two boxes of one class on one object",
    "duplicate": "the same file more than once in one set",
    "near-duplicate": "nearly the same picture more than once in one set",
    "leak": "the same file in two sets",
    "near-leak": "nearly the same picture in two sets",
}


class Finding(NamedTuple):
    """One thing that is wrong, and where."""

    kind: str  # of KINDS
    place: str  # the file, with the line or object where it has several
    text: str  # what was wanted and what is there
    image: str = ""  # the file of the image that it is about, where there is one
    box: Box | None = None  # in pixels of the upright image, where it can be drawn
