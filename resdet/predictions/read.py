"""One door for every form of localization file."""

from __future__ import annotations

from pathlib import Path

from resdet.data.records import Records
from resdet.errors import InputError
from resdet.predictions import devkit, jsonl, kaggle
from resdet.predictions.loc import LocPredictions


def read_loc(file: Path, records: Records) -> LocPredictions:
    """Read localization predictions of these records; the file's form is told from its beginning.

    jsonl begins with ``{``, Kaggle's CSV with its header; anything else is the development kit's text, whose
    lines belong to the images in alphabetical order of their names.

    Raises:
        InputError: the file is missing, empty or not text, or not made for these records.
    """
    text = _text(file)
    start = text.lstrip()[:20]
    if not start:
        raise InputError(f"{file}: empty; wanted predictions as devkit text, Kaggle CSV or jsonl")
    if start.startswith("{"):
        return jsonl.read(file, text, records)
    if start.startswith("ImageId") or file.suffix.lower() == ".csv":
        return kaggle.read(file, text, records)
    return devkit.read(file, text, records)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # a spreadsheet program may have put a mark before the header
    except FileNotFoundError:
        raise InputError(f"{file}: no such predictions file") from None
    except IsADirectoryError:
        raise InputError(f"{file}: wanted a predictions file, got a folder") from None
    except UnicodeDecodeError:
        raise InputError(f"{file}: wanted text (devkit, Kaggle CSV or jsonl), got binary data") from None
