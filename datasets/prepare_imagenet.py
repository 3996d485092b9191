"""Unpack ImageNet (ILSVRC CLS-LOC) into the one tree that ilsvrc-loc reads, and count whether all of it is there.

    python datasets/prepare_imagenet.py DOWNLOADS --out /data/imagenet
    python datasets/prepare_imagenet.py imagenet-object-localization-challenge.zip --out /data/imagenet --val-folders

DOWNLOADS is a folder with the archives of ILSVRC2012 (ILSVRC2012_img_train.tar, ..._img_val.tar,
..._bbox_train_v2.tar.gz, ..._bbox_val_v3.tgz; ..._img_test*.tar and ..._devkit_t12.tar.gz are optional), or with
Kaggle's zip, or its tar.gz and LOC_* tables; single archives may be named too.  A run that was cut off is started again
with the same words: what is there is not written twice.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from imagenet_archives import KINDS, TABLE, TREE, Kind, kind_of, read_text, unpack
from imagenet_tree import classes_by_boxes, classes_by_list, faults, has_images, images_of, sort_val, write_lists

from resdet import cli, options
from resdet.errors import InputError

DEVKIT = r"ILSVRC201\d_devkit_t12\.tar\.gz"
TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"
SHOWN = 5  # faults


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="archives, or folders of archives")
    parser.add_argument("--out", type=options.folder, required=True, metavar="DIR", help="ROOT of ilsvrc-loc:ROOT:val")
    parser.add_argument("--val-folders", action="store_true", help="put val's images into folders of their classes")
    parser.add_argument(
        "--val-truth", type=Path, metavar="FILE", help="the kit's ..._validation_ground_truth.txt (default: as found)"
    )
    parser.add_argument("--allow-incomplete", action="store_true", help="a part of the set is enough")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    args = parser.parse_args(argv)
    cli.check_folder(args.out)
    archives, tables, devkits = find(args.sources)
    truth = classes_by_file(args.val_truth) if args.val_truth else {}  # read first: to unpack takes hours
    base = args.out / "ILSVRC"
    for kind, archive in archives:
        sorted_before = {Path(path).name: base / "Data/CLS-LOC/val" / path for path in images_of(base, "val").values()}
        written = unpack(archive, kind, args.out, sorted_before)
        print(f"{archive.name}: {kind.title}: {written} files written", flush=True)
    for table in tables:
        there = args.out / table.name
        if not (there.exists() and there.samefile(table)):  # the downloads may lie in --out
            shutil.copyfile(table, there)
    if not any(TREE in kind.member for kind, _ in archives):  # which comes with its lists
        write_lists(base)
    classes = truth or val_classes(args.out, devkits)
    if args.val_folders:
        print(f"val: {sort_val(base, classes)} images moved into folders of their classes")
    finish(args.out, faults(base, classes), allowed=args.allow_incomplete)


def find(sources: list[Path]) -> tuple[list[tuple[Kind, Path]], list[Path], list[Path]]:
    """The archives in the order to unpack them in, Kaggle's tables, and development kits.

    Raises:
        InputError: a source that is not there, or an archive that is none of ImageNet's.
    """
    archives, tables, devkits = [], [], []
    for source in sources:
        if not source.exists():
            raise InputError(f"{source}: no such file or folder")
        for file in sorted(source.iterdir()) if source.is_dir() else [source]:
            if kind := kind_of(file):
                archives.append((kind, file))
            elif re.fullmatch(TABLE, file.name):
                tables.append(file)
            elif re.fullmatch(DEVKIT, file.name):
                devkits.append(file)
            elif not source.is_dir():
                raise InputError(f"{file}: wanted an archive by its usual name, see --help")
    if not archives:
        raise InputError(f"{sources[0]}: no archive of ImageNet's by its usual name, see --help")
    return sorted(archives, key=lambda pair: KINDS.index(pair[0])), tables, devkits


def classes_by_file(truth: Path) -> dict[str, str]:
    """From a validation image's name to its class, by the list that was named."""
    return classes_by_list(truth.read_text(encoding="utf-8", errors="replace").splitlines(), str(truth))


def val_classes(out: Path, devkits: list[Path]) -> dict[str, str]:
    """The same by a development kit's list, or by the boxes."""
    if devkits:
        return classes_by_list(read_text(devkits[0], TRUTH), str(devkits[0]))
    try:
        return classes_by_boxes(out)
    except InputError:  # no boxes, or of a part of the images
        return {}


def finish(out: Path, found: list[str], *, allowed: bool) -> None:
    for line in found[:SHOWN]:
        print(f"incomplete: {line}", file=sys.stderr)
    if found and not allowed:
        more = f", {len(found)} faults in all" if len(found) > SHOWN else ""
        raise InputError(f"{out}: not all of ImageNet is there{more}; --allow-incomplete takes it as it is")
    splits = [split for split in ("train", "val", "test") if has_images(out / "ILSVRC", split)]
    each = [*splits[:1], "train_cls", *splits[1:]] if "train" in splits else splits
    print(f"{out}: ready: ilsvrc-loc:{out}:{', :'.join(each)}" if each else f"{out}: no images")


if __name__ == "__main__":
    sys.exit(cli.run(main))
