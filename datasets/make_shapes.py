"""Draw the demo set: shapes to classify and to localize, in the layout of ILSVRC CLS-LOC with XML boxes.

The same seed and size give the same files, byte for byte; fewer images are the first of more.

    python datasets/make_shapes.py --out runs/demo/data
    python datasets/make_shapes.py --out /tmp/shapes --train 1000 --val 200 --seed 1 --size 96
"""

from __future__ import annotations

import argparse
import errno
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
from shapes_art import CLASSES, draw_picture

from resdet import cli, options

JPEG_QUALITY = 92
SPLIT_SEEDS = {"train": 0, "val": 1}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=options.folder, required=True, help="the folder to write to; files of that name are replaced"
    )
    parser.add_argument("--train", type=int, default=8000, help="training images (default %(default)s)")
    parser.add_argument("--val", type=int, default=420, help="validation images (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    parser.add_argument(
        "--size", type=int, default=64, help="side of an image in pixels, 32 or more (default %(default)s)"
    )
    wanted = parser.parse_args(argv)
    if min(wanted.train, wanted.val) < 1 or wanted.seed < 0 or wanted.size < 32:
        parser.error("wanted --train and --val of at least 1, --seed of at least 0, --size of at least 32")
    if wanted.out.is_file():
        raise NotADirectoryError(errno.ENOTDIR, "a file, where a folder is wanted", str(wanted.out))
    write_set(wanted.out, {"train": wanted.train, "val": wanted.val}, wanted.seed, wanted.size)
    print(f"{wanted.train} train and {wanted.val} val images of {len(CLASSES)} shapes: shapes:{wanted.out}:train, :val")


def write_set(out: Path, counts: dict[str, int], seed: int, size: int) -> None:
    """Write both splits, their lists and the class list below ``out``.

    Raises:
        OSError: something cannot be written, or there are images that would lie beside those of the set.
    """
    check_room(out, counts)
    for split, count in counts.items():
        names = [write_image(out, split, number, seed, size) for number in range(1, count + 1)]
        lists = ("train_cls.txt", "train_loc.txt") if split == "train" else ("val.txt",)
        for name in lists:
            lines = (f"{image} {number}\n" for number, image in enumerate(names, 1))
            _write(out / "ImageSets" / "CLS-LOC" / name, "".join(lines).encode())
    _write(out / "LOC_synset_mapping.txt", "".join(f"{name} {name}\n" for name in CLASSES).encode())


def check_room(out: Path, counts: dict[str, int]) -> None:
    """Make sure that no image or XML of a larger or of another set is there: lists would not have it, folders would.

    Raises:
        FileExistsError: there is one.
    """
    for split, count in counts.items():
        names = {name_of(split, number) for number in range(1, count + 1)}
        for kind, ending in (("Data", "JPEG"), ("Annotations", "xml")):
            folder = out / kind / "CLS-LOC" / split
            for file in folder.rglob(f"*.{ending}"):
                if file.relative_to(folder).with_suffix("").as_posix() not in names:
                    wanted = f"not of the set of {count} that is to be drawn: wanted a new folder, or that set's own"
                    raise FileExistsError(errno.EEXIST, wanted, str(file))


def name_of(split: str, number: int) -> str:
    """An image's name in its split's list."""
    shape = CLASSES[(number - 1) % len(CLASSES)]
    return f"{shape}/{shape}_{number}" if split == "train" else f"shapes_val_{number:08d}"


def write_image(out: Path, split: str, number: int, seed: int, size: int) -> str:
    """Draw one image, write it and its XML, and return its name in the split's list."""
    shape = CLASSES[(number - 1) % len(CLASSES)]
    picture = draw_picture(shape, size, np.random.default_rng([seed, SPLIT_SEEDS[split], number]))
    name = name_of(split, number)
    folder, stem = shape if split == "train" else split, name.rpartition("/")[2]
    _, jpeg = cv2.imencode(".jpg", picture.image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    _write(out / "Data" / "CLS-LOC" / split / f"{name}.JPEG", jpeg.tobytes())
    _write(out / "Annotations" / "CLS-LOC" / split / f"{name}.xml", _xml(folder, stem, shape, size, picture.boxes))
    return name


def _xml(folder: str, stem: str, shape: str, size: int, boxes: list[tuple[int, int, int, int]]) -> bytes:
    """As ILSVRC's: pixels counted from 0, the last one included, a file name without ending."""
    sides = ("xmin", "ymin", "xmax", "ymax")
    objects = "".join(
        f"\t<object>\n\t\t<name>{shape}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>0</truncated>\n"
        "\t\t<difficult>0</difficult>\n\t\t<bndbox>\n"
        + "".join(f"\t\t\t<{side}>{value}</{side}>\n" for side, value in zip(sides, box, strict=True))
        + "\t\t</bndbox>\n\t</object>\n"
        for box in boxes
    )
    return (
        f"<annotation>\n\t<folder>{folder}</folder>\n\t<filename>{stem}</filename>\n"
        "\t<source>\n\t\t<database>shapes</database>\n\t</source>\n"
        f"\t<size>\n\t\t<width>{size}</width>\n\t\t<height>{size}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        f"\t<segmented>0</segmented>\n{objects}</annotation>\n"
    ).encode()


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


if __name__ == "__main__":
    sys.exit(cli.run(main))
