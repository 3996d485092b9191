"""Write trained weights for other programs: safetensors, ONNX, or under torchvision's names."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resdet import cli, options

EXAMPLE = """examples:
  python tools/export.py --weights runs/cls/best.pt --out net.safetensors
  python tools/export.py --weights runs/loc/best.pt --out net.onnx
  python tools/export.py --weights runs/det/best.pt --out detector.onnx --set test.score_threshold=0.3
  python tools/export.py --weights runs/cls/best.pt --out resnet18.pth --format torchvision

.safetensors   holds the config and the classes too, and is taken wherever --weights is
.onnx          takes uint8 RGB images, (N, 3, height, width); writing it needs the packages onnx and onnxscript
  classifier     images of side data.size; gives probabilities
  localizer      the same images; gives probabilities, labels, boxes and the boxes' scores
  detector       images of any one size, which you scale to test.shorter and test.longer; gives boxes in their pixels,
                 scores, labels, and how many there are in each image: the rest is zeros, and labels of -1
               The file holds the classes and these sizes as JSON.
torchvision    the ResNet and its classifier under torchvision's names, without an RPN or what reads boxes; normalise
               its images as torchvision does"""


def arguments() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--weights", required=True, metavar="FILE", help="a checkpoint, torchvision:NAME[=FILE], detectron2:NAME=FILE"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="its ending says the format")
    parser.add_argument("--format", choices=("resdet", "torchvision", "onnx"), default="", help="where it does not")
    options.add_settings(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    args = arguments().parse_args(argv)
    if not cli.works_alone():
        return

    from resdet.jobs.export import export  # here: --help answers without waiting for torch

    cli.make_room(files=(args.out,), reads=(args.weights,))
    numbers = export(args.weights, args.settings, args.out, args.format)
    what = "the backbone's " if args.format == "torchvision" else ""
    print(f"{args.out}: {what}{numbers / 1e6:.2f} million numbers, {args.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    sys.exit(cli.run(main))
