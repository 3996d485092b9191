"""Opening a data set for a command: reading ImageNet's half a million annotations takes minutes, and is told."""

from __future__ import annotations

from resdet.cli import tells
from resdet.data.formats import open_records
from resdet.data.records import Records
from resdet.progress import waiting


def open_data_set(spec: str, *, labels_alone: bool = False) -> Records:
    """As :func:`resdet.data.formats.open_records`, with a line on stderr now and then."""
    with waiting(f"reading {spec}", told=tells()):
        return open_records(spec, labels_alone=labels_alone)
