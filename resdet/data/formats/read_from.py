"""Which of some files a data set is read from, so that nothing is written over them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from resdet.data.folder_tree import at_home
from resdet.data.formats import SUM, coco, split_spec
from resdet.data.image_files import ENDINGS
from resdet.errors import InputError

READ = (*ENDINGS, ".csv", ".txt", ".xml")  # endings of what lies in a data set's folder; results have others


def read_from(specs: Iterable[str], files: Iterable[Path | None]) -> list[Path]:
    """Those of ``files`` that data sets are read from: images, lists and annotations that lie in a set's folder.

    COCO's annotation file always is among the answers.  What is no data set's name has none.
    """
    parts = [split_spec(part.strip()) for spec in specs for part in spec.split(SUM)]
    there = [file for file in files if file is not None and file.is_file()]
    found = []
    for name, root, split in parts:
        folder = at_home(root)
        if name == "coco":
            with suppress(InputError):  # told where it is opened
                found.append(coco.annotation_file(folder, split))
        if root:
            endings = (".bin", "") if name == "cifar10" else READ
            found += [f for f in there if f.suffix.lower() in endings and folder.resolve() in f.resolve().parents]
    return found
