"""Measure the colours of a data set: mean and deviation, AlexNet's principal components, and a mean for every pixel.

    python datasets/color_statistics.py cifar10:ROOT:train --size 32 --out colors.yaml --pixel-mean mean.npy
    python datasets/color_statistics.py ilsvrc-loc:ROOT:train_cls --images 100000 --workers 8 --out colors.yaml

The images are seen as a test of one crop sees them: the middle of the image with its shorter side at --resize.  What
is written are settings, to be copied into a config.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import yaml

from resdet import cli
from resdet.data import pixel_mean
from resdet.data.color_statistics import ColorStatistics, color_statistics
from resdet.data.formats.read_from import read_from
from resdet.data.loading import TestImages, test_loader
from resdet.jobs.data_sets import open_data_set
from resdet.options import whole_number
from resdet.progress import follow

BATCH = 64


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="SPEC", help="FORMAT:ROOT[:SPLIT], the training set")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="YAML file to write")
    parser.add_argument(
        "--pixel-mean", type=Path, metavar="FILE", help="write the mean image there, for data.pixel_mean"
    )
    parser.add_argument(
        "--size", type=whole_number(1, 2**14), default=224, help="data.size, pixels (default %(default)s)"
    )
    parser.add_argument(
        "--resize", type=whole_number(1), help="data.resize, pixels (default: --size up to 64, else 8/7 of it)"
    )
    parser.add_argument("--images", type=whole_number(1), metavar="N", help="so many, drawn at random (default: all)")
    parser.add_argument("--workers", type=whole_number(0, 1024), default=2, metavar="N", help="(default %(default)s)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    args = parser.parse_args(argv)
    files = (args.out, args.pixel_mean)
    cli.make_room(files=files, reads=read_from([args.data], files))
    records = open_data_set(args.data)
    if args.images and args.images < len(records):
        order = torch.randperm(len(records), generator=torch.Generator().manual_seed(0))
        records = records.select(order[: args.images].sort().values)
    resize = args.resize or (args.size if args.size <= 64 else round(args.size * 256 / 224))
    batches = test_loader(TestImages(records, resize, args.size), BATCH, args.workers)
    found = color_statistics(follow(batches, len(batches), "colours"))
    if args.pixel_mean:
        pixel_mean.write(args.pixel_mean, found.pixel_mean)
    args.out.write_text(as_settings(found, args.data, args.pixel_mean), encoding="utf-8")
    sys.stdout.write(args.out.read_text(encoding="utf-8"))


def as_settings(found: ColorStatistics, spec: str, mean_file: Path | None) -> str:
    """The statistics as a config has them."""
    data: dict[str, list[float] | str] = {"mean": rounded(found.mean, 3), "std": rounded(found.std, 3)}
    if mean_file:
        data["pixel_mean"] = str(mean_file)
    augment = {"pca_values": rounded(found.values, 6), "pca_vectors": [rounded(row, 5) for row in found.vectors]}
    text = yaml.safe_dump({"data": data, "augment": augment}, sort_keys=False, default_flow_style=None)
    return f"# colours of {found.images} images of {spec}\n{text}"


def rounded(values: torch.Tensor, digits: int) -> list[float]:
    return [round(value, digits) for value in values.tolist()]


if __name__ == "__main__":
    sys.exit(cli.run(main))
