"""Sets without boxes: class folders, and CIFAR-10, whose images are no files."""

from __future__ import annotations

from collections.abc import Iterator

from resdet.audit.boxes import Frame
from resdet.audit.sheet import Sheet, SheetSet
from resdet.data.formats import open_records
from resdet.data.image_files import left_out


def open_set(spec: str) -> SheetSet:
    """The set as its reader gives it: there is nothing in it to be corrected.

    Raises:
        InputError: whatever the format's reader finds wrong.
    """
    records = open_records(spec)
    unread = left_out([str(records.root)]) if records.pixels is None else []

    def sheets() -> Iterator[Sheet]:
        for index in range(len(records)):
            path = records.path(index)
            label = int(records.labels[index])
            yield Sheet(path, str(records.root / path), records.classes.names[label] if label >= 0 else "")
        for file in unread:
            wrong = f"{file}: of a kind that is not read: training leaves it out; convert it to JPEG or PNG"
            yield Sheet("", str(file), wrong=wrong, kind="unreadable")

    pixels = records if records.pixels is not None else None
    return SheetSet(records.root, Frame(0, 0), sheets, len(records) + len(unread), records=pixels)
