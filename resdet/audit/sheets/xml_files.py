"""The XML annotation of VOC and ILSVRC: read with its faults, and written without them."""

from __future__ import annotations

import shutil
from collections.abc import Container
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement

from resdet.audit.boxes import Frame, as_numbers
from resdet.audit.sheet import Correction, Marked, Sheet
from resdet.data.formats import voc_xml
from resdet.data.formats.inclusive import SIDES
from resdet.errors import InputError


def read_sheet(file: str, image: str, frame: Frame, known: Container[str] | None, label: str = "") -> Sheet:
    """One file's sheet; what :func:`resdet.data.formats.voc_xml.read` would refuse is noted in it.

    Args:
        known: the classes that may occur; None takes any.
        label: the image's class.
    """
    try:
        root = voc_xml.parse(file)
    except InputError as error:
        return Sheet(image, file, label, wrong=str(error))
    wrong, size = "", None
    try:
        size = voc_xml.read_size(root, file)
    except InputError as error:
        wrong = str(error)
    elements = enumerate(root.iter("object"), 1)
    objects = tuple(_marked(element, f"{file}: object {number}", frame, known) for number, element in elements)
    return Sheet(image, file, label, size or (0, 0), objects, wrong, "size" if wrong else "annotation")


def _marked(element: Element, place: str, frame: Frame, known: Container[str] | None) -> Marked:
    wrong = ""
    try:
        voc_xml.read_object(element, place, frame.first_pixel, known)
    except InputError as error:
        wrong = str(error)
    name = (element.findtext("name") or "").strip()
    bndbox = element.find("bndbox")
    sides = None if bndbox is None else as_numbers([bndbox.findtext(side) for side in SIDES])
    return Marked(place, name, sides, wrong, bool(name) and known is not None and name not in known)


def write_sheet(file: Path, to: Path, correction: Correction | None, frame: Frame) -> None:
    """Write a file corrected, all else in it as it was; a plain copy where there is nothing to correct."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if correction is None:
        shutil.copyfile(file, to)
        return
    root = voc_xml.parse(file)
    parents = {child: parent for parent in root.iter() for child in parent}
    for element, box in zip(list(root.iter("object")), correction.boxes, strict=True):
        if box is None:
            parents[element].remove(element)
            continue
        bndbox = element.find("bndbox")
        assert bndbox is not None  # or it would have had no numbers
        for name, side in zip(SIDES, frame.sides(box), strict=True):
            _set(bndbox, name, f"{side:.10g}")
    size = root.find("size")
    if size is not None and min(correction.size) > 0:
        for name, pixels in zip(("width", "height"), correction.size, strict=True):
            _set(size, name, str(pixels))
    ElementTree(root).write(to, encoding="utf-8", xml_declaration=True)


def _set(parent: Element, name: str, text: str) -> None:
    child = parent.find(name)
    if child is None:
        child = SubElement(parent, name)
    child.text = text
