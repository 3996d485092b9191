"""What tests of readers do to disks."""

import os
from pathlib import Path


def put(root: Path, path: str, text: str = "") -> Path:
    """Write a file below ``root``, with the folders above it."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def refuse(monkeypatch, name: str) -> None:
    """From now on no folder of this name can be read, by root neither."""
    scandir = os.scandir

    def refusing(folder):
        if Path(folder).name == name:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
