"""Files of localizations, and files of detections, read in any of their forms."""

from __future__ import annotations

from pathlib import Path

from resdet.data.records import Records
from resdet.errors import InputError
from resdet.predictions import det_coco, det_devkit, det_jsonl, det_voc, devkit, jsonl, kaggle
from resdet.predictions.det import DetPredictions
from resdet.predictions.loc import LocPredictions

DET_FORMS = "devkit text, VOC's comp4_det_test_<class>.txt, COCO's json or jsonl"
LARGEST_FILE = 4 * 1024**3  # bytes, of some fifty million detections: a larger file is no such file, or not one to load


def read_loc(file: Path, records: Records) -> LocPredictions:
    """Read localization predictions of these records; the file's form is told from its beginning.

    jsonl begins with ``{``, Kaggle's CSV with its header; anything else is the development kit's text, whose
    lines belong to the images in alphabetical order of their names.

    Raises:
        InputError: the file is missing, empty or not text, or not made for these records.
    """
    text = _text(file, "devkit, Kaggle CSV or jsonl")
    start = text.lstrip()[:20]
    if not start:
        raise InputError(f"{file}: empty; wanted predictions as devkit text, Kaggle CSV or jsonl")
    if start.startswith("{"):
        return jsonl.read(file, text, records)
    if start.startswith("ImageId") or file.suffix.lower() == ".csv":
        return kaggle.read(file, text, records)
    return devkit.read(file, text, records)


def read_det(path: Path, records: Records) -> DetPredictions:
    """Read detections of these records; the form is told from a file's name and its beginning.

    A folder holds VOC's result files; a file of such a name is one class of them, the others have no detections
    then.  COCO's json begins with ``[``, jsonl with ``{``; anything else is the DET development kit's text.  An empty
    file holds no detections.

    Raises:
        InputError: what is named is missing, not text, or not made for these records.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if det_voc.PATTERN.fullmatch(file.name))
        if not files:
            wanted = det_voc.FILE_NAME.format("<class>")
            raise InputError(f"{path}: no file in this folder is called as VOC's results are, {wanted}")
        return det_voc.read(((file, _text(file, "VOC's lines")) for file in files), records)
    text = _text(path, DET_FORMS)
    if det_voc.PATTERN.fullmatch(path.name):
        return det_voc.read([(path, text)], records)
    start = text.lstrip()[:1]
    if start == "[":
        return det_coco.read(path, text, records)
    if start == "{":
        return det_jsonl.read(path, text, records)
    return det_devkit.read(path, text, records)


def files_of(path: Path | None) -> list[Path]:
    """What :func:`read_loc` or :func:`read_det` reads, and what may lie beside it to say what its numbers mean."""
    if path is None:
        return []
    if path.is_dir():
        return [file for file in path.iterdir() if det_voc.PATTERN.fullmatch(file.name)]
    beside = (det_coco.IMAGES_FILE, det_devkit.IMAGES_FILE, det_devkit.CLASSES_FILE)
    return [path, *(path.parent / name for name in beside)]


def _text(file: Path, wanted: str) -> str:
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise InputError(f"{file}: larger than {LARGEST_FILE >> 30} GiB, which no predictions file is")
        return file.read_text(encoding="utf-8-sig")  # a spreadsheet program may have put a mark before the header
    except FileNotFoundError:
        raise InputError(f"{file}: no such predictions file") from None
    except IsADirectoryError:
        raise InputError(f"{file}: wanted a predictions file, got a folder") from None
    except UnicodeDecodeError:
        raise InputError(f"{file}: wanted text ({wanted}), got binary data") from None
