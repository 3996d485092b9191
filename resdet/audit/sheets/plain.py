"""Sets without boxes: class folders, and CIFAR-10, whose images are no files."""

from __future__ import annotations

from collections.abc import Iterator

from resdet.audit.boxes import Frame
from resdet.audit.sheet import Sheet, SheetSet
from resdet.data.formats import open_records


def open_set(spec: str) -> SheetSet:
    """The set as its reader gives it: there is nothing in it to be corrected.

    Raises:
        InputError: whatever the format's reader finds wrong.
    """
    records = open_records(spec)

    def sheets() -> Iterator[Sheet]:
        for index in range(len(records)):
            path = records.path(index)
            label = int(records.labels[index])
            yield Sheet(path, str(records.root / path), records.classes.names[label] if label >= 0 else "")

    return SheetSet(
        records.root, Frame(0, 0), sheets, len(records), records=records if records.pixels is not None else None
    )
