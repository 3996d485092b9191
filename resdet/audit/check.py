"""All images of one split checked: what is wrong, what would be right, and what is to be compared between splits."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from resdet.audit.boxes import Frame, doubles, examine, turned
from resdet.audit.findings import Box, Finding
from resdet.audit.images import Seen, look_at_file, look_at_pixels
from resdet.audit.sheet import Correction, Marked, Sheet, SheetSet
from resdet.data.drawn import same_shape
from resdet.data.formats.many_files import read_each

AT_ONCE = 4096  # images whose sheets are in memory


@dataclass
class Checked:
    """What was found in one split."""

    spec: str
    opened: SheetSet | None  # None: it could not even be opened
    findings: list[Finding] = field(default_factory=list)
    corrections: dict[str, Correction] = field(default_factory=dict)
    images: Counter[str] = field(default_factory=Counter)  # by class: those that are of it or hold a box of it
    boxes: Counter[str] = field(default_factory=Counter)
    unused: list[str] = field(default_factory=list)  # classes of the set without any; not known of one that is refused
    usable: array = field(default_factory=lambda: array("d"))  # of every box that is right: xyxy, image's width, height
    files: list[str] = field(default_factory=list)  # every image that can be decoded
    digests: array = field(default_factory=lambda: array("Q"))  # of each, see Seen
    outlines: array = field(default_factory=lambda: array("Q"))
    sketches: bytearray = field(default_factory=bytearray)
    labels: list[str] = field(default_factory=list)
    looked_at: int = 0
    without_image: int = 0  # of them: annotations of an image that the set does not have, names without either
    seen: set[str] = field(default_factory=set)

    @property
    def image_count(self) -> int:
        """Images that the set has."""
        return self.looked_at - self.without_image

    def add(self, kind: str, place: str, text: str, image: str = "", box: Box | None = None) -> None:
        """Note a finding."""
        self.findings.append(Finding(kind, place, text.removeprefix(f"{place}: "), image, box))


def check_images(found: Checked) -> Iterator[None]:
    """Check the images of a set, and note in ``found`` what there is; yields once an image."""
    opened = found.opened
    assert opened is not None
    sheets = opened.sheets()
    while some := list(islice(sheets, AT_ONCE)):
        start = found.looked_at
        if opened.records is not None and opened.records.pixels is not None:
            pixels = opened.records.pixels[start : start + len(some)].numpy()
            looks: Iterator[Seen] = (look_at_pixels(image) for image in pixels)
        else:
            looks = read_each(look_at_file, [f"{opened.root}/{sheet.image}" if sheet.image else "" for sheet in some])
        for sheet, seen in zip(some, looks, strict=True):
            _check(found, sheet, seen)
            found.looked_at += 1
            yield
    if not found.image_count:
        found.add("refused", found.spec, "no images, which training would refuse")
    _check_spelling(found)


def _check(found: Checked, sheet: Sheet, seen: Seen) -> None:
    """Note what is wrong with one image and its annotation, and what would be right."""
    opened = found.opened
    assert opened is not None
    if opened.scaled and not seen.error and min(sheet.size) > 0 and same_shape(sheet.size, (seen.width, seen.height)):
        seen = seen._replace(width=sheet.size[0], height=sheet.size[1])
    file = f"{opened.root}/{sheet.image}" if sheet.image else ""
    if not _check_annotation(found, sheet, seen, file):
        found.without_image += 1
        found.corrections[sheet.place] = Correction((), (0, 0), leave_out=True)
        return
    again = _check_file(found, sheet, seen, file)
    boxes = tuple(_check_object(found, sheet, marked, seen, file) for marked in sheet.objects)
    _check_doubles(found, sheet, boxes, file)
    kept = (marked.name for marked, box in zip(sheet.objects, boxes, strict=True) if box)
    found.images.update({*kept, *([sheet.label] if sheet.label and not seen.error else [])})
    unreadable = bool(seen.error) or (bool(sheet.wrong) and sheet.kind in ("annotation", "no-annotation"))
    leave_out = unreadable or again or (opened.needs_box and not any(boxes))
    if leave_out or not _is_right(sheet, seen, boxes, opened.frame):
        found.corrections[sheet.place] = Correction(boxes, (seen.width, seen.height), leave_out)


def _check_annotation(found: Checked, sheet: Sheet, seen: Seen, file: str) -> bool:
    """Note what is wrong with the annotation as a whole; false: it is of no image that the set has."""
    if seen.is_missing and sheet.kind == "no-annotation":  # a name in a list, and nothing else
        found.add("no-image", sheet.place, f"neither this annotation nor its image {file} is there", file)
        return False
    if sheet.wrong:
        found.add(sheet.kind, sheet.place, sheet.wrong, file)
    return bool(sheet.image)


def _check_file(found: Checked, sheet: Sheet, seen: Seen, file: str) -> bool:
    """Note what is wrong with the image's file; true: the image was there before, under another annotation."""
    again = sheet.image in found.seen
    found.seen.add(sheet.image)
    if again:
        found.add("annotation", sheet.place, f"{sheet.image} is described a second time", file)
    if seen.is_missing:
        found.add("no-image", sheet.place, f"its image {file} is not there", file)
    elif seen.error:
        found.add("unreadable", file, seen.error)
    else:
        if not again:
            _remember(found, sheet, seen, file)
        _check_image(found, sheet, seen, file)
    return again


def _is_right(sheet: Sheet, seen: Seen, boxes: tuple[Box | None, ...], frame: Frame) -> bool:
    """Whether the annotation has the boxes as they should be, corners in order, and the image's size or none."""
    written = [marked.sides for marked in sheet.objects]
    in_order = all(sides and sides[0] <= sides[2] and sides[1] <= sides[3] for sides in written)
    if not seen.error and (sheet.kind == "size" or sheet.size not in ((0, 0), (seen.width, seen.height))):
        return False
    return in_order and boxes == tuple(frame.box(sides) for sides in written if sides)


def _remember(found: Checked, sheet: Sheet, seen: Seen, file: str) -> None:
    found.files.append(file)
    found.labels.append(sheet.label)
    found.digests.append(seen.digest)
    found.outlines.append(seen.outline)
    found.sketches += seen.sketch


def _check_image(found: Checked, sheet: Sheet, seen: Seen, file: str) -> None:
    if seen.content:
        found.add("mislabelled", file, f"its content is {seen.content}, not what its name ends in", file)
    size, there = sheet.size, (seen.width, seen.height)
    told = f"the annotation says {size[0]} x {size[1]}, the image is {there[0]} x {there[1]}"
    if _is_drawn_before_turning(sheet, seen):
        found.add("exif", sheet.place, f"{told} upright: the boxes were drawn before its EXIF turned it", file)
    elif size not in (there, (0, 0)):
        swapped = ", the sides swapped" if size == there[::-1] else ""
        found.add("size", sheet.place, told + swapped, file)
    elif sheet.objects and seen.orientation != 1 and (seen.orientation < 5 or size == (0, 0)):
        how = f"its EXIF turns it (orientation {seen.orientation}), and no size tells whether the boxes turn with it"
        found.add("exif", file, how, file)


def _is_drawn_before_turning(sheet: Sheet, seen: Seen) -> bool:
    there = seen.width, seen.height
    return seen.orientation >= 5 and there[0] != there[1] and sheet.size == there[::-1]


def _check_object(found: Checked, sheet: Sheet, marked: Marked, seen: Seen, file: str) -> Box | None:
    """The box as it should be, None where there is none to keep."""
    assert found.opened is not None
    if marked.unknown:
        found.add("unknown-class", marked.place, f"class {marked.name!r} is not among the set's", file)
    elif sheet.label and marked.name != sheet.label:
        found.add("other-class", marked.place, f"class {marked.name!r} in an image of {sheet.label!r}", file)
    if marked.sides is None:
        found.add("no-number", marked.place, marked.wrong, file)
        return None
    frame, before = found.opened.frame, _is_drawn_before_turning(sheet, seen)
    there = (seen.height, seen.width) if before else (seen.width, seen.height)
    faults, box = examine(marked.sides, frame, *(sheet.size if seen.error else there))  # unread, all there is to go by
    for kind, text in faults:
        if not (kind == "small" and marked.crowd):
            found.add(kind, marked.place, f"{marked.name}: {text}", file, frame.box(marked.sides))
    if marked.wrong and not marked.unknown and not any(kind == "upside-down" for kind, _ in faults):
        found.add("annotation", marked.place, marked.wrong, file)
        return None
    if marked.unknown or box is None:
        return None
    found.boxes[marked.name] += 1
    box = turned(box, seen.width, seen.height, seen.orientation) if before else box
    if not seen.error:
        found.usable.extend((*box, seen.width, seen.height))
    return box


def _check_doubles(found: Checked, sheet: Sheet, boxes: tuple[Box | None, ...], file: str) -> None:
    known = [(m, box) for m, box in zip(sheet.objects, boxes, strict=True) if box is not None and not m.crowd]
    for earlier, later in doubles([(marked.name, box) for marked, box in known]):
        first, (second, box) = known[earlier][0], known[later]
        found.add("double", second.place, f"{second.name}: very nearly the box of {first.place}", file, box)


def _check_spelling(found: Checked) -> None:
    """Classes that differ in nothing but case, spaces and the like: of a set that lists none, each slip is a class."""
    spellings: dict[str, list[str]] = {}
    for name in found.boxes:
        spellings.setdefault("".join(letter for letter in name.casefold() if letter.isalnum()), []).append(name)
    for names in spellings.values():
        usual, *others = sorted(names, key=lambda name: -found.boxes[name])
        for name in others:
            text = f"class {name!r} ({found.boxes[name]} boxes) is spelt like {usual!r} ({found.boxes[usual]})"
            found.add("unknown-class", found.spec, text)
