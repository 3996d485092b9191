"""The XML annotation that PASCAL VOC introduced and ILSVRC kept: one file an image, read by tag, never by position."""

from __future__ import annotations

from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from resdet.data.formats.inclusive import FARTHEST, SIDES, read_box
from resdet.errors import InputError

LARGEST_FILE = 16 * 2**20  # bytes; a thousand objects with outlines are a hundredth of it
USUAL_FILE = 2**16  # bytes; to ask for 16 MiB costs 18 us, as the memory for them is got first, and given back


class Object(NamedTuple):
    """One object of an image, as its file describes it."""

    name: str  # the class id: a WNID for ILSVRC, the class's name for VOC
    box: tuple[float, float, float, float]  # xyxy, continuous pixels
    difficult: bool = False  # VOC: its evaluation leaves the object out


class Annotation(NamedTuple):
    """One image, as its file describes it."""

    size: tuple[int, int] | None  # width, height; None where the file does not say
    objects: tuple[Object, ...]
    filename: str = ""  # of the image, often without ending and sometimes of another time


def read(
    file: Path | str, first_pixel: int, classes: Container[str] | None = None, *, any_corners: bool = False
) -> Annotation:
    """Read one annotation file.

    Args:
        file: the XML.
        first_pixel: what the file calls the first column and row: 0 for ILSVRC, 1 for VOC.
        classes: the class ids that may occur; None takes any.
        any_corners: of a box that is upside down the two corners are put in order.

    Raises:
        InputError: missing or not XML; an object without name or bndbox, of a class that is not in ``classes``, or with
            a box that is not four finite numbers or is upside down.  Objects are counted from 1.
    """
    root = parse(file)
    objects = enumerate(root.iter("object"), 1)
    found = tuple(
        read_object(element, f"{file}: object {n}", first_pixel, classes, any_corners=any_corners)
        for n, element in objects
    )
    return Annotation(read_size(root, file), found, (root.findtext("filename") or "").strip())


def parse(file: Path | str) -> Element:
    """The file's tree, without entities or anything from outside.

    Raises:
        InputError: missing, larger than :data:`LARGEST_FILE`, or not XML.
    """
    try:
        with open(file, "rb") as opened:
            content = opened.read(USUAL_FILE)
            if len(content) == USUAL_FILE:
                content += opened.read(LARGEST_FILE + 1 - USUAL_FILE)
        if len(content) > LARGEST_FILE:
            raise InputError(f"{file}: larger than {LARGEST_FILE >> 20} MiB, which no image's annotation is")
        return _tree(content)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; wanted an XML annotation") from None
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:  # the last two: a strange encoding
        raise InputError(f"{file}: wanted an XML annotation: {' '.join(str(error).split())}") from None


def _tree(content: bytes) -> Element:
    """The tree, by Python's parser in C where there is nothing to be careful about: a third of defusedxml's time.

    Entities are declared behind ``<!``.  In ASCII without the zeros of UTF-16 it can be written in no other way: expat
    takes no encoding in which another byte below 128 stands for one of its signs.
    """
    if content.isascii() and b"<!" not in content and b"\0" not in content:
        with suppress(ParseError, ValueError, LookupError):  # defusedxml says why
            return ElementTree.fromstring(content)
    return fromstring(content)


def read_object(
    element: Element, place: str, first_pixel: int, classes: Container[str] | None, *, any_corners: bool = False
) -> Object:
    """One object of the tree; :func:`read` says what is refused.  ``place`` is what an error is to name."""
    name = (element.findtext("name") or "").strip()
    if not name:
        raise InputError(f"{place}: wanted a name, there is none")
    if classes is not None and name not in classes:
        raise InputError(f"{place}: class {name!r} is not in the class list")
    bndbox = element.find("bndbox")
    if bndbox is None:
        raise InputError(f"{place}: wanted a bndbox, there is none")
    box = read_box([bndbox.findtext(side) for side in SIDES], place, first_pixel, any_corners=any_corners)
    return Object(name, box, (element.findtext("difficult") or "").strip() == "1")


def read_size(root: Element, file: Path | str) -> tuple[int, int] | None:
    """Width and height as the file has them, None where it does not say; InputError: no such numbers."""
    size = root.find("size")
    if size is None:
        return None
    words = [size.findtext(side) for side in ("width", "height")]
    try:
        width, height = (int(float(word or "")) for word in words)
    except (ValueError, OverflowError):
        raise InputError(f"{file}: size: wanted width and height as numbers, got {words}") from None
    if not (0 <= width <= FARTHEST and 0 <= height <= FARTHEST):
        raise InputError(f"{file}: size: wanted width and height in pixels, got {words}")
    return width, height
